//! What loading a decoder costs in memory above the weights that it keeps.
//!
//! The peak that the system reports is that of a whole process, so every case is loaded in a process
//! of its own: this program, started again with the name of the case. `PEFOMED_LOADING=large` takes a
//! decoder of 340 million parameters in the place of one of 60; `-- --nocapture` shows the figures.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod common;

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::shared;
use pefomed_data::prompt::Template;
use pefomed_kernels::frozen::Precision;
use pefomed_model::base::{self, Decoder, ModelFiles};
use pefomed_model::parameters::Placement;

/// Peaks that are refused, as multiples of what is kept. Of a decoder this small the buffer that every
/// matrix is read into is a twentieth, and the allocator loses more between small matrices.
const MOST: f64 = 1.1;
const MOST_OF_SMALL: f64 = 1.2;

/// The program's own: how much is lost between blocks is a matter of the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The case that a process is to load: a file or folder, and how its weights are kept.
const CASE: &str = "PEFOMED_LOADING_CASE";

/// A line of the system's account of this process, in bytes.
fn account(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() << 10
}

/// Sizes of a decoder.
#[derive(Clone, Copy)]
struct Sizes {
    layers: usize,
    width: usize,
    network: usize,
    vocabulary: usize,
}

impl Sizes {
    /// With the largest peak that is let pass.
    fn chosen() -> (Self, f64) {
        if std::env::var("PEFOMED_LOADING").is_ok_and(|size| size == "large") {
            let sizes = Self { layers: 24, width: 1024, network: 2816, vocabulary: 32_000 };
            return (sizes, MOST);
        }
        (Self { layers: 8, width: 768, network: 2048, vocabulary: 1_024 }, MOST_OF_SMALL)
    }

    /// Name, part of its name in GGUF, and shape of every tensor.
    fn tensors(self) -> Vec<(String, String, Vec<usize>)> {
        let Self { layers, width: c, network: m, vocabulary } = self;
        let mut all = vec![
            ("model.embed_tokens".to_owned(), "token_embd".to_owned(), vec![vocabulary, c]),
            ("model.norm".to_owned(), "output_norm".to_owned(), vec![c]),
            ("lm_head".to_owned(), "output".to_owned(), vec![vocabulary, c]),
        ];
        for layer in 0..layers {
            for (name, short, shape) in [
                ("self_attn.q_proj", "attn_q", vec![c, c]),
                ("self_attn.k_proj", "attn_k", vec![c, c]),
                ("self_attn.v_proj", "attn_v", vec![c, c]),
                ("self_attn.o_proj", "attn_output", vec![c, c]),
                ("mlp.gate_proj", "ffn_gate", vec![m, c]),
                ("mlp.up_proj", "ffn_up", vec![m, c]),
                ("mlp.down_proj", "ffn_down", vec![c, m]),
                ("input_layernorm", "attn_norm", vec![c]),
                ("post_attention_layernorm", "ffn_norm", vec![c]),
            ] {
                all.push((
                    format!("model.layers.{layer}.{name}"),
                    format!("blk.{layer}.{short}"),
                    shape,
                ));
            }
        }
        all
    }

    /// A folder with a configuration, a tokenizer, and weights of `bytes` bytes each: two are
    /// bfloat16, four float32.
    fn folder(self, at: &Path, bytes: usize) -> PathBuf {
        let folder = at.join(format!("of-{bytes}"));
        fs::create_dir(&folder).unwrap();
        let config = serde_json::json!({
            "model_type": "llama", "hidden_size": self.width, "intermediate_size": self.network,
            "num_hidden_layers": self.layers, "num_attention_heads": self.width / 64,
            "vocab_size": self.vocabulary, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
        });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        fs::copy(tokenizer(), folder.join("tokenizer.json")).unwrap();
        let mut header = serde_json::Map::new();
        let mut end = 0;
        for (name, _, shape) in self.tensors() {
            let start = end;
            end += shape.iter().product::<usize>() * bytes;
            let dtype = if bytes == 2 { "BF16" } else { "F32" };
            let entry = serde_json::json!({
                "dtype": dtype, "shape": shape, "data_offsets": [start, end],
            });
            header.insert(format!("{name}.weight"), entry);
        }
        let mut header = serde_json::to_vec(&header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::new(fs::File::create(folder.join("model.safetensors")).unwrap());
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        zeros(&mut file, end);
        folder
    }

    /// A GGUF file with matrices in `Q8_0`.
    fn gguf(self, at: &Path) -> PathBuf {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let mut pairs: Vec<(&str, u32, Vec<u8>)> = vec![("general.architecture", 8, text("llama"))];
        for (key, number) in [
            ("llama.embedding_length", self.width),
            ("llama.feed_forward_length", self.network),
            ("llama.block_count", self.layers),
            ("llama.attention.head_count", self.width / 64),
            ("llama.attention.head_count_kv", self.width / 64),
        ] {
            pairs.push((key, 4, (number as u32).to_le_bytes().to_vec()));
        }
        let count = (self.vocabulary as u64).to_le_bytes();
        let words = (0..self.vocabulary).flat_map(|word| text(&word.to_string()));
        let words = 8_u32.to_le_bytes().into_iter().chain(count).chain(words).collect();
        pairs.push(("tokenizer.ggml.tokens", 9, words));
        let tensors = self.tensors();
        let mut head = b"GGUF".to_vec();
        head.extend(3_u32.to_le_bytes());
        head.extend((tensors.len() as u64).to_le_bytes());
        head.extend((pairs.len() as u64).to_le_bytes());
        for (key, kind, value) in pairs {
            head.extend(text(key));
            head.extend(kind.to_le_bytes());
            head.extend(value);
        }
        let mut end = 0_u64;
        for (_, name, shape) in tensors {
            head.extend(text(&format!("{name}.weight")));
            head.extend((shape.len() as u32).to_le_bytes());
            head.extend(shape.iter().rev().flat_map(|size| (*size as u64).to_le_bytes()));
            // Q8_0 keeps 32 numbers in 34 bytes; vectors are float32.
            let (kind, bytes) = if shape.len() == 2 {
                (8_u32, 34 * shape[0] * shape[1] / 32)
            } else {
                (0, 4 * shape[0])
            };
            head.extend(kind.to_le_bytes());
            head.extend(end.to_le_bytes());
            end = (end + bytes as u64).next_multiple_of(32);
        }
        head.resize(head.len().next_multiple_of(32), 0);
        let path = at.join("weights.gguf");
        let mut file = BufWriter::new(fs::File::create(&path).unwrap());
        file.write_all(&head).unwrap();
        zeros(&mut file, end as usize);
        path
    }
}

fn zeros(file: &mut impl std::io::Write, mut bytes: usize) {
    let block = vec![0; 1 << 20];
    while bytes > 0 {
        let some = bytes.min(block.len());
        file.write_all(&block[..some]).unwrap();
        bytes -= some;
    }
    file.flush().unwrap();
}

fn tokenizer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny-base/decoder/tokenizer.json")
}

/// Bytes of what is kept, and of the peak while it was loaded, both above what there was before.
struct Loaded {
    kept: usize,
    peak: usize,
}

/// Loads a case in a process of its own.
fn load(files: &Path, how: &str) -> Loaded {
    let case = format!("{how} {}", files.display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_case_in_its_own_process", "--nocapture"])
        .env(CASE, case)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let number = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.trim().parse().unwrap()
    };
    Loaded { kept: number("kept"), peak: number("peak") }
}

#[test]
fn one_case_in_its_own_process() {
    let Ok(case) = std::env::var(CASE) else { return };
    pefomed_kernels::memory::keep_freed_memory();
    let (how, path) = case.split_once(' ').unwrap();
    let files = ModelFiles::at(Path::new(path)).unwrap();
    let config = base::decoder_config(&files).unwrap();
    let table = 4 * config.vocab_size * config.hidden_size;
    let place = Placement::cpu();
    let own = tokenizer();
    let (tokenizer, template) = if path.contains("SmolLM2") {
        (None, Template::Chatml)
    } else {
        (Some(own.as_path()), Template::Inst)
    };
    // Threads, code and tables that every program has before its first decoder.
    let tiny = ModelFiles::embedded_decoder("tiny").unwrap();
    drop(base::load_packed_decoder(&tiny, None, Template::Inst, &place, Precision::fastest()));
    let before = account("VmRSS:");
    let packed = |precision| {
        base::load_packed_decoder(&files, tokenizer, template, &place, precision).unwrap()
    };
    let (decoder, table): (Decoder, usize) = match how {
        "bf16" => (packed(Precision::Bf16), table),
        "float32" => (packed(Precision::Float32), table),
        // The table stays in the file too.
        _ => {
            let stored = base::load_stored_decoder(&files, tokenizer, template, &place);
            (stored.unwrap(), if config.tie_word_embeddings { 0 } else { table / 4 })
        }
    };
    let peak = account("VmHWM:") - before;
    println!("\nkept {}\npeak {peak}", decoder.decoder.packed_bytes().unwrap() + table);
}

#[test]
fn loading_takes_little_more_than_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (sizes, most) = Sizes::chosen();
    let numbers: usize =
        sizes.tensors().iter().map(|(.., shape)| shape.iter().product::<usize>()).sum();
    let mut cases = Vec::new();
    let mut precisions = vec!["float32", "stored"];
    if Precision::Bf16.is_available() {
        precisions.insert(0, "bf16");
    }
    for (name, files) in [
        ("safetensors, bfloat16", sizes.folder(folder.path(), 2)),
        ("safetensors, float32", sizes.folder(folder.path(), 4)),
        ("GGUF, Q8_0", sizes.gguf(folder.path())),
    ] {
        cases.extend(precisions.iter().map(|how| (name, files.clone(), *how)));
    }
    println!("{:.2} million parameters", numbers as f64 / 1e6);
    let mut above = Vec::new();
    for (name, files, how) in cases {
        let Loaded { kept, peak } = load(&files, how);
        let ratio = peak as f64 / kept as f64;
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "{name:<22} {how:<8} kept {:>7.1} MiB, peak {:>7.1} MiB, {ratio:.3} times",
            mib(kept),
            mib(peak)
        );
        if ratio > most {
            above.push(format!("{name}, {how}: {ratio:.3}"));
        }
    }
    assert!(above.is_empty(), "peaks of loading above {most} times the weights: {above:?}");
}

/// A small vocabulary is not SmolLM2's: its tokenizer, with 49,152 tokens, comes on top.
#[test]
fn the_peak_of_loading_smollm2_is_known() {
    let Some(models) = shared("models/smollm2-135m-instruct") else { return };
    let path = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let how = Precision::fastest().name();
    let Loaded { kept, peak } = load(&path, how);
    println!(
        "SmolLM2, {how}: {:.3} times the weights, with its tokenizer",
        peak as f64 / kept as f64
    );
    assert!((peak as f64) < MOST * kept as f64, "{peak} for {kept}");
}
