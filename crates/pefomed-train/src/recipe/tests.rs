use pefomed_data::formats::Format;
use proptest::prelude::*;

use super::*;

const FULL: &str = r#"
title = "VQA-RAD on a small base"
seed = 7
output = "../runs/vqa-rad"

[model]
vision = "../models/dinov2-small"
decoder = "hub:owner/decoder"
tokenizer = "/opt/tokenizer.json"
template = "chatml"
image_size = 224
merge = 1
vision_layer = -2
vision_cls = true
projector = "mlp"
precision = "float32"

[adapter]
kind = "lora"
rank = 8
alpha = 16.0
dropout = 0.1
targets = ["q_proj", "v_proj"]
start = "../runs/alignment/adapter"

[data.captions]
format = "jsonl"
path = "captions.jsonl"
images = "images"
split = "published"
train_groups = 40

[data.vqa]
format = "vqa-rad"
path = "vqa_rad_public.json"
split = { rule = "group-hash", test_percent = 10, val_percent = 0, salt = "v1" }

[[stage]]
name = "alignment"
data = ["captions"]
epochs = 1.0
batch = 8
token_budget = 2048
max_questions_per_tree = 16
share_images = true
learning_rate = 1e-3
final_learning_rate = 1e-4
warmup_learning_rate = 1e-5
warmup_steps = 20
weight_decay = 0.05
beta1 = 0.9
beta2 = 0.999
epsilon = 1e-8
train_projector = true
train_adapter = false
checkpoint_every = 0
augment = { crop = 0.75, flip = 0.5 }

[[stage]]
name = "vqa"
data = ["vqa", "captions"]
steps = 300
learning_rate = 1e-4

[evaluation]
data = ["vqa", "captions"]
split = "test"
max_new_tokens = 32
rows = 16
controls = ["blank", "shuffled"]
"#;

const SMALL: &str = r#"
[model]
vision = "embedded:tiny"
decoder = "embedded:tiny"

[data.vqa]
format = "jsonl"
path = "vqa.jsonl"

[[stage]]
name = "vqa"
data = ["vqa"]
steps = 10
learning_rate = 1e-3
"#;

fn parse(text: &str, overrides: &[&str]) -> Result<Recipe, TrainError> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Recipe::parse(text, "r.toml", Path::new("/home/a/recipes"), &overrides)
}

fn message(text: &str, overrides: &[&str]) -> String {
    parse(text, overrides).unwrap_err().to_string()
}

#[test]
fn every_key_arrives() {
    let recipe = parse(FULL, &[]).unwrap();
    assert_eq!(recipe.title.as_deref(), Some("VQA-RAD on a small base"));
    assert_eq!(recipe.seed, 7);
    assert_eq!(recipe.output.as_deref(), Some(Path::new("/home/a/recipes/../runs/vqa-rad")));
    assert_eq!(
        recipe.model,
        Model {
            vision: ModelSource::Path("/home/a/recipes/../models/dinov2-small".into()),
            decoder: ModelSource::Hub("owner/decoder".to_owned()),
            tokenizer: Some("/opt/tokenizer.json".into()),
            template: Template::Chatml,
            compat: None,
            image_size: 224,
            merge: 1,
            vision_layer: Some(-2),
            vision_cls: true,
            projector: ProjectorKind::Mlp,
            precision: WeightPrecision::Float32,
            activation_checkpointing: false,
        }
    );
    assert_eq!((recipe.adapter.rank, recipe.adapter.dropout), (8, 0.1));
    let start = Path::new("/home/a/recipes/../runs/alignment/adapter");
    assert_eq!(recipe.adapter.start.as_deref(), Some(start));
    let captions = &recipe.data["captions"];
    assert_eq!(captions.format, Format::Jsonl);
    assert_eq!(captions.images.as_deref(), Some(Path::new("/home/a/recipes/images")));
    assert_eq!(captions.split, SplitRule::Published);
    assert_eq!(captions.train_groups, Some(40));
    let rule = SplitRule::GroupHash { test_percent: 10.0, val_percent: 0.0, salt: "v1".to_owned() };
    assert_eq!(recipe.data["vqa"].split, rule);
    let [alignment, vqa] = &recipe.stages[..] else { panic!("{:?}", recipe.stages) };
    assert_eq!(alignment.length, Length::Epochs(1.0));
    assert_eq!((alignment.max_questions_per_tree, alignment.checkpoint_every), (16, 0));
    assert_eq!((alignment.train_projector, alignment.train_adapter), (true, false));
    assert_eq!((alignment.augment.crop, alignment.augment.flip), (0.75, 0.5));
    assert!(vqa.augment.is_neutral());
    assert_eq!(vqa.length, Length::Steps(300));
    let evaluation = recipe.evaluation.unwrap();
    assert_eq!(evaluation.data, ["vqa", "captions"]);
    assert_eq!(evaluation.controls, [ImageCondition::Blank, ImageCondition::Shuffled]);
    assert_eq!((evaluation.split, evaluation.rows), (Split::Test, 16));
}

#[test]
fn defaults_are_those_of_the_paper_where_it_has_them() {
    let recipe = parse(SMALL, &[]).unwrap();
    assert_eq!((recipe.seed, recipe.output, recipe.evaluation), (0, None, None));
    assert_eq!((recipe.model.image_size, recipe.model.merge), (448, 4));
    assert_eq!(recipe.model.selection(), FeatureSelection::default());
    assert_eq!(recipe.model.projector, ProjectorKind::Linear);
    assert_eq!(recipe.model.template, Template::Inst);
    assert_eq!(
        (recipe.adapter.rank, recipe.adapter.alpha, recipe.adapter.dropout),
        (64, 16.0, 0.05)
    );
    assert_eq!(recipe.adapter.targets, ["q_proj", "v_proj"]);
    let stage = &recipe.stages[0];
    assert_eq!((stage.batch, stage.max_questions_per_tree, stage.token_budget), (8, 8, 2048));
    assert_eq!((stage.final_learning_rate, stage.warmup_learning_rate), (1e-4, 1e-5));
    assert_eq!((stage.warmup_steps, stage.checkpoint_every), (0, 200));
    let adamw = stage.adamw();
    assert_eq!((adamw.beta1, adamw.beta2, adamw.epsilon), (0.9, 0.999, 1e-8));
    assert_eq!(adamw.weight_decay, 0.05);
    assert_eq!(stage.schedule(10).at(0), 1e-3);
}

#[test]
fn a_written_recipe_reads_back_the_same() {
    for text in [FULL, SMALL] {
        let recipe = parse(text, &[]).unwrap();
        let written = recipe.to_toml().unwrap();
        // Paths are absolute by now, so the folder makes no difference.
        assert_eq!(
            Recipe::from_str(&written, Path::new("/elsewhere")).unwrap(),
            recipe,
            "{written}"
        );
    }
}

#[test]
fn the_list_of_keys_is_that_of_the_types() {
    // One stage has `epochs`, the other `steps`; folds have a rule of their own, and most layouts take
    // none of the rest, which other tests read.
    const OPTIONAL: [&str; 10] = [
        "epochs", "steps", "fold", "of", "language", "views", "sections", "columns", "task",
        "strict",
    ];
    fn compare(value: &toml::Value, shape: &schema::Shape, place: &str) {
        match (value, shape) {
            (toml::Value::Table(table), schema::Shape::Table(keys)) => {
                for (key, value) in table {
                    let inner = schema::find(keys, key);
                    compare(value, inner.unwrap_or_else(|| panic!("{place}: {key}")), key);
                }
                for (key, _) in *keys {
                    let absent = !table.contains_key(*key) && !OPTIONAL.contains(key);
                    assert!(!absent, "no type has `{key}` of {place}");
                }
            }
            (toml::Value::Table(table), schema::Shape::Named(inner)) => {
                // `captions` has what `vqa` has not, which has a rule: together they have all keys.
                let mut whole = table["vqa"].clone();
                for key in ["images", "train_groups"] {
                    let value = table["captions"][key].clone();
                    whole.as_table_mut().unwrap().insert(key.to_owned(), value);
                }
                compare(&whole, inner, place);
            }
            (toml::Value::Array(items), schema::Shape::List(inner)) => {
                for item in items {
                    compare(item, inner, place);
                }
            }
            (_, schema::Shape::Value | schema::Shape::Path | schema::Shape::Source) => {}
            // A data set of a stage by its name alone.
            (toml::Value::String(_), schema::Shape::Table(_)) if place == "data" => {}
            _ => panic!("{place}: {value} does not fit {shape:?}"),
        }
    }
    let written = parse(FULL, &[]).unwrap().to_toml().unwrap();
    let mut table: toml::Table = toml::from_str(&written).unwrap();
    // It needs another template than the recipe has.
    let model = table["model"].as_table_mut().unwrap();
    model.insert("compat".to_owned(), "pefomed".into());
    compare(&toml::Value::Table(table), &schema::RECIPE, "recipe");
}

#[test]
fn a_mistyped_key_is_told_its_line_and_the_nearest_key() {
    let text = SMALL.replace("learning_rate", "leraning_rate");
    assert_eq!(
        message(&text, &[]),
        "`r.toml`: unknown key `leraning_rate` in [[stage]] (line 14): did you mean `learning_rate`?"
    );
    let cases = [
        ("seeed = 1\n", "`seeed` in the recipe's head (line 1): did you mean `seed`?"),
        ("[modell]\n", "`modell` in the recipe's head (line 1): did you mean `model`?"),
        ("[model]\nprojektor = 1\n", "`projektor` in [model] (line 2): did you mean `projector`?"),
        ("[data.a]\nfromat = 1\n", "`fromat` in [data.a] (line 2): did you mean `format`?"),
        (
            "[data.a]\nsplit = { rule = \"x\", slt = 1 }\n",
            "`slt` in [data.a.split] (line 2): did you mean `salt`?",
        ),
        (
            "[evaluation]\nbeam = 4\n",
            "`beam` in [evaluation] (line 2): \
             the keys here are data, split, max_new_tokens, rows, controls",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(message(text, &[]), format!("`r.toml`: unknown key {expected}"));
    }
}

#[test]
fn syntax_and_types_are_told_with_their_line() {
    let broken = message("seed = 1\nmodel = [\n", &[]);
    assert!(broken.starts_with("`r.toml`, line "), "{broken}");
    let cases = [
        (
            SMALL.replace("steps = 10", "steps = \"ten\""),
            ", line 13: ",
            "invalid type: string \"ten\"",
        ),
        (SMALL.replace("\"jsonl\"", "\"josnl\""), ", line 7: ", "unknown variant `josnl`"),
        (SMALL.replace("path = \"vqa.jsonl\"", ""), ", line 6: ", "missing field `path`"),
        (
            SMALL.replace("steps = 10", ""),
            ", line 10: ",
            "exactly one of `epochs` and `steps`: neither",
        ),
        (SMALL.replace("steps = 10", "steps = 1\nepochs = 1"), ", line 10: ", "`steps`: both"),
        (
            SMALL.replace("vision = \"embedded:tiny\"", "vision = \"hub:x\""),
            ", line 3: ",
            "`hub:owner/name`",
        ),
        (SMALL.replace("steps = 10", "steps = -1"), ", line 13: ", "invalid value: integer `-1`"),
        (
            SMALL.replace(
                "[[stage]]",
                "[data.b]\nformat=\"jsonl\"\npath=\"b\"\nsplit=\"mine\"\n[[stage]]",
            ),
            ", line 13: ",
            "\"published\", or a table",
        ),
    ];
    for (text, line, expected) in cases {
        let message = message(&text, &[]);
        assert!(message.contains(line) && message.contains(expected), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let stage = "learning_rate = 1e-3";
    let cases = [
        (stage, "learning_rate = 0.0", "`learning_rate` must be above 0, not 0"),
        (stage, "learning_rate = inf", "`learning_rate` must be above 0, not inf"),
        (stage, "learning_rate = nan", "`learning_rate` must be above 0, not NaN"),
        (stage, "learning_rate = 1e-3\nbatch = 0", "[[stage]] `vqa`: `batch` must be at least 1"),
        (
            stage,
            "learning_rate = 1e-3\nbeta2 = 1.0",
            "`beta2` must be 0 or more and below 1, not 1",
        ),
        (
            stage,
            "learning_rate = 1e-3\naugment = { crop = 0 }",
            "`augment.crop` is the smallest share of the area that is kept: above 0 and at most 1",
        ),
        (
            stage,
            "learning_rate = 1e-3\naugment = { flip = 1.5 }",
            "`augment.flip` is a probability: from 0 to 1, not 1.5",
        ),
        (stage, "learning_rate = 1e-3\nweight_decay = -0.1", "`weight_decay` must be 0 or more"),
        (stage, "learning_rate = 1e-3\nepsilon = 0", "`epsilon` must be above 0"),
        (
            stage,
            "learning_rate = 1e-3\nfinal_learning_rate = 1e-2",
            "`final_learning_rate` must lie between 0 and the `learning_rate` of 0.001, not at 0.01",
        ),
        (
            stage,
            "learning_rate = 1e-3\ntrain_adapter = false\ntrain_projector = false",
            "nothing would learn",
        ),
        ("steps = 10", "steps = 0", "`steps` must be at least 1"),
        ("steps = 10", "epochs = 0", "`epochs` must be above 0, not 0"),
        ("data = [\"vqa\"]", "data = []", "names no data set"),
        (
            "data = [\"vqa\"]",
            "data = [\"vpa\"]",
            "names `vpa`, but there is no [data.vpa]; did you mean `vqa`?",
        ),
        ("data = [\"vqa\"]", "data = [\"vqa\", \"vqa\"]", "names `vqa` twice"),
        ("name = \"vqa\"", "name = \"../up\"", "`name` must have letters"),
        ("name = \"vqa\"", "name = \"12\"", "not digits alone"),
        ("[data.vqa]", "[adapter]\nrank = 0\n[data.vqa]", "[adapter] `rank` must be at least 1"),
        ("[data.vqa]", "[adapter]\ndropout = 1.0\n[data.vqa]", "below 1, not 1"),
        ("[data.vqa]", "[adapter]\nalpha = -1\n[data.vqa]", "`alpha` must be above 0, not -1"),
        ("[data.vqa]", "[adapter]\ntargets = []\n[data.vqa]", "`targets` is empty"),
        ("[data.vqa]", "merge = 0\n[data.vqa]", "[model] `merge` must be at least 1"),
        ("[data.vqa]", "vision_cls = true\n[data.vqa]", "[model] `vision_cls` is true, but"),
        ("[data.vqa]", "projector = \"conv\"\n[data.vqa]", "`conv`"),
        ("[data.vqa]", "vision_layer = \"last\"\n[data.vqa]", "vision_layer"),
        ("[data.vqa]", "image_size = 0\n[data.vqa]", "[model] `image_size` must be at least 1"),
        (
            "[data.vqa]",
            "[data.\"a.b\"]\nformat=\"jsonl\"\npath=\"x\"\n[data.vqa]",
            "a name has letters",
        ),
        ("vqa.jsonl", "", "[data.vqa] `path` is empty"),
        (
            "path = \"vqa.jsonl\"",
            "path = \"vqa.jsonl\"\nsplit = { rule = \"group-hash\", test_percent = 120 }",
            "120 % test",
        ),
        (
            "[[stage]]",
            "[evaluation]\ndata = \"none\"\n[[stage]]",
            "[evaluation] `data` names `none`",
        ),
        (
            "[[stage]]",
            "[evaluation]\ndata = \"vqa\"\ncontrols = [\"true\"]\n[[stage]]",
            "`controls` names `true`",
        ),
        (
            "[[stage]]",
            "[evaluation]\ndata = \"vqa\"\nrows = 0\n[[stage]]",
            "`rows` must be at least",
        ),
    ];
    for (old, new, expected) in cases {
        let text = SMALL.replacen(old, new, 1);
        assert_ne!(text, SMALL, "`{old}` is not in the recipe");
        let message = message(&text, &[]);
        assert!(message.contains(expected), "`{new}` gave: {message}");
        assert!(message.contains("`r.toml`, line "), "`{new}` gave: {message}");
    }
    let twice = format!("{SMALL}{}", &SMALL[SMALL.find("[[stage]]").unwrap()..]);
    assert_eq!(
        message(&twice, &[]),
        "`r.toml`, line 16: two stages are called `vqa`: give each its own name"
    );
}

#[test]
fn a_complaint_points_to_the_line() {
    let text = SMALL.replace("steps = 10", "steps = 0");
    assert_eq!(
        message(&text, &[]),
        "`r.toml`, line 13: [[stage]] `vqa`: `steps` must be at least 1"
    );
    // Set on the command line, it has no line in the file.
    assert_eq!(
        message(SMALL, &["stage.vqa.steps=0"]),
        "`r.toml`: [[stage]] `vqa`: `steps` must be at least 1"
    );
}

#[test]
fn overrides_reach_every_kind_of_place() {
    let recipe = parse(
        FULL,
        &[
            "seed=3",
            "stage.0.steps=10",
            "stage.vqa.learning_rate=2e-4",
            "stage.1.data=[\"vqa\"]",
            "model.image_size = 448",
            "title=Another title",
            "evaluation.controls=[]",
            "data.captions.split.rule=group-hash",
            "data.captions.split.test_percent=25",
            "model.decoder=embedded:tiny",
            "data.more={ format = \"jsonl\", path = \"/data/more.jsonl\" }",
        ],
    )
    .unwrap();
    assert_eq!(recipe.seed, 3);
    assert_eq!(recipe.stages[0].length, Length::Steps(10));
    assert_eq!(recipe.stages[1].learning_rate, 2e-4);
    assert_eq!(recipe.stages[1].data, ["vqa"]);
    assert_eq!(recipe.model.image_size, 448);
    assert_eq!(recipe.title.as_deref(), Some("Another title"));
    assert!(recipe.evaluation.unwrap().controls.is_empty());
    assert_eq!(
        recipe.data["captions"].split,
        SplitRule::GroupHash { test_percent: 25.0, val_percent: 0.0, salt: String::new() }
    );
    assert_eq!(recipe.model.decoder, ModelSource::Embedded("tiny".to_owned()));
    assert_eq!(recipe.data["more"].path, Path::new("/data/more.jsonl"));
    // The last one wins.
    assert_eq!(parse(SMALL, &["seed=1", "seed=2"]).unwrap().seed, 2);
}

#[test]
fn a_data_set_says_how_it_is_read() {
    let text = SMALL.replace(
        "format = \"jsonl\"\npath = \"vqa.jsonl\"",
        "format = \"csv\"\npath = \"t.csv\"\ntask = \"vqa\"\nstrict = false\n\
         columns = { question = \"q\", labels = [\"organ\"] }\n\
         split = { rule = \"fold\", fold = 2, of = 5 }",
    );
    let recipe = parse(&text, &[]).unwrap();
    let data = &recipe.data["vqa"];
    let columns = data.options().columns.unwrap();
    assert_eq!((columns.question.as_deref(), data.strict), (Some("q"), false));
    assert_eq!(data.split, SplitRule::Fold { fold: 2, of: 5, salt: String::new() });
    let again = Recipe::from_str(&recipe.to_toml().unwrap(), Path::new("/")).unwrap();
    assert_eq!(again, recipe);
    let wrong = SMALL.replace("format = \"jsonl\"", "format = \"jsonl\"\nlanguage = \"en\"");
    let message = message(&wrong, &[]);
    assert!(message.contains("format `jsonl` does not take `language`"), "{message}");
    assert!(parse(&text.replace("question =", "qestion ="), &[]).is_err());
    assert!(parse(&text.replace("fold = 2", "fold = 6"), &[]).is_err());
}

#[test]
fn a_path_in_an_override_starts_at_the_working_directory() {
    let here = std::env::current_dir().unwrap();
    let recipe = parse(SMALL, &["output=runs/2024", "data.vqa.path=2024"]).unwrap();
    assert_eq!(recipe.output, Some(here.join("runs/2024")));
    assert_eq!(recipe.data["vqa"].path, here.join("2024"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.toml");
    files::write_bytes(&path, SMALL.as_bytes()).unwrap();
    let recipe = Recipe::read(&path, &["seed=5".to_owned()]).unwrap();
    assert_eq!((recipe.seed, &recipe.data["vqa"].path), (5, &folder.path().join("vqa.jsonl")));
}

#[test]
fn an_override_that_fits_nothing_is_refused() {
    let cases = [
        ("seed", "write it as key=value, as in `seed=3`"),
        ("seeed=3", "the recipe has no key `seeed`: did you mean `seed`?"),
        ("stage.0.batchs=3", "`stage.0` has no key `batchs`: did you mean `batch`?"),
        ("stage.vqq.batch=3", "`stage` has no entry `vqq`: there are 0 (`vqa`)"),
        ("stage.1.batch=3", "`stage` has no entry `1`: there are 0 (`vqa`)"),
        ("seed.x=3", "`seed` is a value and has no key `x`"),
        ("model..merge=3", "a part of the key is empty"),
    ];
    for (assignment, expected) in cases {
        assert_eq!(
            message(SMALL, &[assignment]),
            format!("cannot apply `{assignment}`: {expected}")
        );
    }
    let wrong = message(SMALL, &["seed=many"]);
    assert!(wrong.contains("invalid type: string \"many\"") && wrong.contains("seed"), "{wrong}");
    // A value cannot smuggle in a second key.
    assert!(parse(SMALL, &["seed=1\ntitle=2"]).is_err());
    let whole = message(SMALL, &["data.b={ format = \"jsonl\", paht = \"x\" }"]);
    assert!(whole.contains("unknown field `paht`"), "{whole}");
}

#[test]
fn epochs_become_steps() {
    let mut stage = parse(SMALL, &["stage.0.epochs=1.5"]).unwrap().stages.remove(0);
    // 3,064 questions in batches of 8 are 383 steps; one and a half passes are 574.5.
    assert_eq!(stage.steps(3064), 575);
    stage.length = Length::Epochs(0.001);
    assert_eq!(stage.steps(8), 1);
    stage.length = Length::Steps(7);
    assert_eq!(stage.steps(3064), 7);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", assignment in "[a-z.=0-9\\[\\]\"{}]{0,40}") {
        let _ = parse(&text, &[]);
        let _ = parse(SMALL, &[&assignment]);
        let _ = parse(&format!("{SMALL}{text}"), &[&assignment]);
    }

    #[test]
    fn a_damaged_recipe_makes_no_panic(cut in 0..FULL.len(), junk in "[a-z=\\[\\].\"\n0-9]{0,8}") {
        prop_assume!(FULL.is_char_boundary(cut));
        let _ = parse(&format!("{}{junk}{}", &FULL[..cut], &FULL[cut..]), &[]);
    }
}

#[test]
fn data_sets_of_a_stage_may_have_weights() {
    let weighted = r#"data = ["captions", { name = "vqa", weight = 2 }]"#;
    let text = FULL.replace(
        r#"data = ["vqa", "captions"]
steps"#,
        &format!("{weighted}\nsteps"),
    );
    let error = message(&text, &[]);
    assert!(error.contains("`vqa`: some of `data` have a weight"), "{error}");
    let text = text.replace(r#"["captions", {"#, r#"[{ name = "captions", weight = 0.5 }, {"#);
    let recipe = parse(&text, &[]).unwrap();
    let stage = &recipe.stages[1];
    assert_eq!(stage.data, ["captions", "vqa"]);
    assert_eq!(stage.weights.as_deref(), Some(&[0.5, 2.0][..]));
    let again = parse(&recipe.to_toml().unwrap(), &[]).unwrap();
    assert_eq!(again, recipe);
    let changed = parse(&text, &["stage.vqa.data.captions.weight=3"]).unwrap();
    assert_eq!(changed.stages[1].weights.as_deref(), Some(&[3.0, 2.0][..]));
    let plain = parse(&text, &[r#"stage.vqa.data=["vqa"]"#]).unwrap();
    assert_eq!((plain.stages[1].data.len(), &plain.stages[1].weights), (1, &None));
    let error = message(&text.replace("weight = 2 ", "weight = 0 "), &[]);
    assert!(error.contains("has a weight of 0"), "{error}");
    let error = message(&text.replace("weight = 2 ", "wieght = 2 "), &[]);
    assert!(error.contains("did you mean `weight`?"), "{error}");
    let error = message(&text.replace(r#"name = "vqa", weight = 2 "#, r#"name = "vqa" "#), &[]);
    assert!(error.contains("weight"), "{error}");
}

#[test]
fn the_prompts_of_pefomed_need_the_turns_of_llama() {
    let compat = "model.compat=pefomed";
    let recipe = parse(SMALL, &[compat]).unwrap();
    assert_eq!(recipe.model.compat, Some(Compat::Pefomed));
    assert!(recipe.to_toml().unwrap().contains("compat = \"pefomed\""));
    let error = message(FULL, &[compat]);
    assert!(error.contains("`compat` has the turns of LLaMA-2"), "{error}");
    let error = message(SMALL, &["model.compat=llava"]);
    assert!(error.contains("pefomed"), "{error}");
}

/// A schema for the values of a table, also where a word may stand in the table's place.
fn table_of(schema: &serde_json::Value) -> &serde_json::Value {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    alternatives.chain([schema]).find(|schema| schema["properties"].is_object()).unwrap_or(schema)
}

fn same_keys(schema: &serde_json::Value, shape: &schema::Shape, path: &str) {
    use schema::Shape;
    match shape {
        Shape::Table(keys) => {
            let table = table_of(schema);
            let mut described: Vec<&String> =
                table["properties"].as_object().unwrap().keys().collect();
            described.sort_unstable();
            let mut known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
            known.sort_unstable();
            assert_eq!(described, known, "the keys of `{path}`");
            assert_eq!(table["additionalProperties"], false, "{path}");
            for (key, shape) in *keys {
                same_keys(&table["properties"][key], shape, &format!("{path}.{key}"));
            }
        }
        Shape::Named(inner) => same_keys(&schema["additionalProperties"], inner, path),
        Shape::List(inner) => same_keys(&schema["items"], inner, path),
        Shape::Value | Shape::Path | Shape::Source => {
            assert!(schema["description"].is_string(), "{path} is not described");
        }
    }
}

/// How many defaults of the schema a recipe has that gives nothing but what it must.
fn same_defaults(schema: &serde_json::Value, value: &serde_json::Value, path: &str) -> usize {
    let mut found = 0;
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let (value, path) = (&value[key], format!("{path}.{key}"));
        let default = &schema["default"];
        if !default.is_null() {
            match (default.as_f64(), value.as_f64()) {
                (Some(default), Some(value)) => assert_eq!(default, value, "{path}"),
                _ => assert_eq!(default, value, "{path}"),
            }
            found += 1;
        }
        found += same_defaults(schema, value, &path);
    }
    found
}

#[test]
fn the_schema_for_editors_has_the_keys_and_defaults_of_recipes() {
    let text = include_str!("../../../../docs/recipe.schema.json");
    let schema: serde_json::Value = serde_json::from_str(text).unwrap();
    same_keys(&schema, &schema::RECIPE, "");
    let text = "[model]\nvision = \"v\"\ndecoder = \"d\"\n[data.a]\nformat = \"jsonl\"\npath = \"a\"\n\
        [[stage]]\nname = \"s\"\ndata = [\"a\"]\nsteps = 1\nlearning_rate = 1e-3\n\
        [evaluation]\ndata = \"a\"\n";
    let recipe = Recipe::from_str(text, Path::new("")).unwrap();
    let recipe = serde_json::to_value(&recipe).unwrap();
    let properties = &schema["properties"];
    let stage = same_defaults(&properties["stage"]["items"], &recipe["stage"][0], "stage");
    let data = &properties["data"]["additionalProperties"];
    let data = same_defaults(data, &recipe["data"]["a"], "data");
    assert_eq!((same_defaults(&schema, &recipe, ""), stage, data), (17, 15, 2));
    let formats: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
    let described = &properties["data"]["additionalProperties"]["properties"]["format"]["enum"];
    assert_eq!(*described, serde_json::json!(formats));
}
