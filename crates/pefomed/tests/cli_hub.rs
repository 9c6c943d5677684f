//! A model by its name on the hub: without the feature, and with it where there is no network.

mod common;

use common::{command, with_recipe};

/// `pefomed train` with a decoder of the hub, whose address nobody answers at, and a cache of its own.
fn train(folder: &std::path::Path, offline: &str) -> (Option<i32>, String, f64) {
    let started = std::time::Instant::now();
    let line = "train recipe.toml model.decoder=hub:owner/decoder --out run -q";
    let output = command(folder, line)
        .env("HF_HOME", folder.join("hub"))
        .env("HF_HUB_CACHE", folder.join("hub/hub"))
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("HF_HUB_OFFLINE", offline)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said, started.elapsed().as_secs_f64())
}

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_feature_the_way_on_is_told() {
    let folder = with_recipe(1);
    let (code, said, _) = train(folder.path(), "");
    assert_eq!(code, Some(1), "{said}");
    let wanted = "error: cannot get `owner/decoder` from the hub: this program was built without the \
        `hub` feature; download the model and name its folder instead, or build with `--features hub`";
    assert_eq!(said.trim(), wanted);
    assert!(!folder.path().join("run").exists());
}

#[cfg(feature = "hub")]
#[test]
fn without_a_network_the_model_the_reason_and_the_way_on_are_told_at_once() {
    let folder = with_recipe(1);
    let at = folder.path();
    let (code, said, seconds) = train(at, "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot get `owner/decoder` from the hub: "), "{said}");
    assert!(said.contains("onnection refused"), "{said}");
    assert!(said.contains("not in the cache; download the model elsewhere and name its folder"));
    assert!(seconds < 30.0, "{seconds} s");
    assert!(!at.join("run").exists());

    let (code, said, _) = train(at, "1");
    assert_eq!(code, Some(1));
    assert!(said.contains("HF_HUB_OFFLINE is set, and it is not in the cache"), "{said}");

    // A part of a model is no model; the whole is taken, with and without the hub's answer.
    let repository = at.join("hub/hub/models--owner--decoder");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = repository.join("snapshots").join(commit);
    std::fs::create_dir_all(repository.join("refs")).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(repository.join("refs/main"), commit).unwrap();
    let own = common::base().join("decoder");
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(own.join(file), snapshot.join(file)).unwrap();
    }
    for offline in ["", "1"] {
        let (code, said, _) = train(at, offline);
        assert_eq!(code, Some(1));
        assert!(said.contains("the cache lacks `model.safetensors` in `"), "{said}");
    }
    std::fs::copy(own.join("model.safetensors"), snapshot.join("model.safetensors")).unwrap();
    let (code, said, _) = train(at, "");
    assert_eq!(code, Some(0), "{said}");
}
