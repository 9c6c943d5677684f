use pefomed_data::prediction::read_predictions;
use pefomed_eval::*;
use std::path::Path;
fn main() {
    let run = std::env::args().nth(1).unwrap();
    let run = Path::new(&run);
    let train: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(run.join("train.json")).unwrap()).unwrap();
    let train: Vec<TrainAnswer> = train.into_iter().map(|v| TrainAnswer {
        answer: v["answer"].as_str().unwrap().into(),
        labels: serde_json::from_value(v["labels"].clone()).unwrap() }).collect();
    let mut folders = vec![run.to_owned()];
    for e in std::fs::read_dir(run.join("ablation")).unwrap() { folders.push(e.unwrap().path()); }
    let mut sets = Vec::new();
    for f in folders {
        let mut all = Vec::new();
        for s in ["", ".blank", ".shuffled"] { all.extend(read_predictions(&f.join(format!("predictions-test{s}.jsonl"))).unwrap()); }
        let t = std::time::Instant::now();
        let m = score(&all, &ScoreOptions { split_digest: Some("3fa0c1abababababababab".into()), leakage: Some(Leakage { images: 203, also_in_train: 202 }), train: train.clone(), ..Default::default() }).unwrap();
        eprintln!("{:?}", t.elapsed());
        m.write(&f.join("metrics-test.json")).unwrap();
        if sets.is_empty() { println!("{}", m.to_text()); }
        sets.push(all);
    }
    println!("{}", compare(&sets[1], &sets[0], &CompareOptions { a: "untuned".into(), b: "both".into(), ..Default::default() }).unwrap().to_text());
    let t = std::time::Instant::now();
    println!("{:?}", write_report(run).unwrap());
    eprintln!("{:?}", t.elapsed());
}
