//! Text that the tiny decoder learns language from.
//!
//! Documents are of five kinds. A *grid* lists what stands in each field of a table, row by row
//! and left and right within a row, and asks about it in words: reading what stands earlier in the
//! sequence and answering from it is what a base must be able to do before visual tokens can take
//! the place of words. A *description* says in a sentence what a grid holds. A *card* holds random
//! values under random headings and asks for some of them. An *echo* asks for a word to be repeated,
//! so that every word of the field has been written at the beginning of an answer. *Sentences* are
//! plain radiological English. What stands on grids and cards is random: no anatomy, no fact of any
//! image, and no question of the demo's.

use pefomed_data::prompt::Template;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Rows of a grid.
const ROWS: usize = 8;

/// One document: a beginning that is given, and pairs of (rest of the prompt, answer) that are
/// learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Shared by all branches.
    pub(super) root: String,
    /// What follows it, and the text to learn.
    pub(super) branches: Vec<(String, String)>,
}

/// What fills a field when nothing special stands there.
const FILLERS: [&str; 12] = [
    "air", "lung", "fat", "muscle", "bone", "fluid", "brain", "liver", "kidney", "heart", "spine",
    "tissue",
];

/// Special things, which questions are about.
const THINGS: [&str; 22] = [
    "nodule",
    "mass",
    "effusion",
    "pneumothorax",
    "cardiomegaly",
    "hemorrhage",
    "infarct",
    "hydrocephalus",
    "lesion",
    "cyst",
    "stone",
    "ascites",
    "pacemaker",
    "line",
    "shunt",
    "clip",
    "drain",
    "tube",
    "fracture",
    "tumor",
    "catheter",
    "implant",
];

/// Words and short phrases that answers in this field begin with.
const WORDS: [&str; 60] = [
    "yes",
    "no",
    "normal",
    "abnormal",
    "nothing",
    "left",
    "right",
    "upper",
    "middle",
    "lower",
    "front",
    "back",
    "small",
    "large",
    "none",
    "one",
    "two",
    "three",
    "four",
    "0",
    "1",
    "2",
    "3",
    "4",
    "chest",
    "head",
    "abdomen",
    "brain",
    "belly",
    "lung",
    "liver",
    "kidney",
    "heart",
    "spine",
    "x-ray",
    "ct",
    "mr",
    "radiograph",
    "computed tomography",
    "magnetic resonance",
    "a",
    "an",
    "the",
    "this",
    "there",
    "axial",
    "frontal",
    "liver lesion",
    "feeding tube",
    "clip",
    "scan",
    "slice",
    "image",
    "nodules",
    "masses",
    "lesions",
    "both",
    "bright",
    "dark",
    "wide",
];

/// Headings of a card.
const HEADINGS: [&str; 10] =
    ["part", "picture", "place", "extent", "amount", "state", "colour", "mark", "kind", "sign"];

const SIZES: [&str; 2] = ["small", "large"];
const LEVELS: [&str; 3] = ["upper", "middle", "lower"];
const SIDES: [&str; 2] = ["left", "right"];
/// How many there are; the last stands for three or more.
const NUMBERS: [&str; 4] = ["none", "one", "two", "three"];

/// A stream of documents.
pub(super) struct Corpus {
    random: ChaCha8Rng,
}

/// One special thing on a grid.
#[derive(Clone, Copy)]
struct Placed {
    thing: &'static str,
    size: &'static str,
    row: usize,
    side: usize,
}

impl Placed {
    fn level(self) -> &'static str {
        LEVELS[self.row * LEVELS.len() / ROWS]
    }
}

impl Corpus {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, bound: usize) -> usize {
        // The bias of a 64-bit remainder by a bound below 2^10 is under 10^-16.
        (self.random.next_u64() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The next document.
    pub(super) fn document(&mut self) -> Document {
        match self.below(20) {
            0..=7 => self.questions(),
            8..=10 => self.description(),
            11..=14 => self.card(),
            15..=16 => self.echo(),
            _ => {
                Document { root: String::new(), branches: vec![(String::new(), self.sentences())] }
            }
        }
    }

    /// Any word that an answer may begin with.
    fn word(&mut self) -> &'static str {
        match self.below(4) {
            0 => self.pick(&THINGS),
            1 => self.pick(&FILLERS),
            _ => self.pick(&WORDS),
        }
    }

    /// Headings with values, and questions for the value under a heading or the other way round.
    fn card(&mut self) -> Document {
        let mut root = format!("{}<Img>", turns().0);
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for _ in 0..3 + self.below(4) {
            let (heading, value) = (self.pick(&HEADINGS), self.word());
            if entries.iter().all(|(h, v)| *h != heading && *v != value) {
                root.extend([" ", heading, " ", value]);
                entries.push((heading, value));
            }
        }
        root.push_str("</Img> [vqa]");
        let count = 3 + self.below(3);
        let branches = (0..count).map(|_| {
            let (heading, value) = self.pick(&entries);
            let (question, answer) = match self.below(4) {
                0 => (format!("what has {value}?"), heading.to_owned()),
                1 => {
                    let said = if self.below(2) == 0 { value } else { self.word() };
                    let truth = if said == value { "yes" } else { "no" };
                    (format!("is the {heading} {said}?"), truth.to_owned())
                }
                2 => (format!("which {heading} is it?"), value.to_owned()),
                _ => (format!("what is the {heading}?"), value.to_owned()),
            };
            (format!(" {question}{}", turns().1), answer)
        });
        Document { branches: branches.collect(), root }
    }

    /// Words to be repeated.
    fn echo(&mut self) -> Document {
        let root = format!("{}<Img></Img> [vqa]", turns().0);
        let branches = (0..6).map(|_| {
            let text = match self.below(3) {
                0 => format!("{} {}", self.word(), self.word()),
                _ => self.word().to_owned(),
            };
            let ask = self.pick(&["say", "repeat", "write"]);
            (format!(" {ask} {text}{}", turns().1), text)
        });
        Document { branches: branches.collect(), root }
    }

    /// Things on a grid: none to four, sometimes of one kind.
    fn placed(&mut self) -> Vec<Placed> {
        let mut all: Vec<Placed> = Vec::new();
        let count = self.below(5);
        let again = self.below(3) == 0;
        for index in 0..count {
            let thing = if again && index > 0 { all[0].thing } else { self.pick(&THINGS) };
            let placed = Placed {
                thing,
                size: self.pick(&SIZES),
                row: self.below(ROWS),
                side: self.below(2),
            };
            let taken = all.iter().any(|p| (p.row, p.side) == (placed.row, placed.side));
            if !taken {
                all.push(placed);
            }
        }
        all
    }

    fn grid(&mut self, placed: &[Placed]) -> String {
        let mut filler = self.pick(&FILLERS);
        let mut text = String::from("<Img>");
        for row in 0..ROWS {
            for (side, name) in SIDES.into_iter().enumerate() {
                if self.below(3) == 0 {
                    filler = self.pick(&FILLERS);
                }
                let here = placed.iter().find(|p| (p.row, p.side) == (row, side));
                match here {
                    Some(p) => text.extend([" ", name, " ", p.size, " ", p.thing]),
                    None => text.extend([" ", name, " ", filler]),
                }
            }
        }
        text.push_str("</Img>");
        text
    }

    fn questions(&mut self) -> Document {
        let placed = self.placed();
        let root = format!("{}{} [vqa]", turns().0, self.grid(&placed));
        let count = 3 + self.below(4);
        let branches = (0..count).map(|_| {
            let (question, answer) = self.question(&placed);
            (format!(" {question}{}", turns().1), answer)
        });
        Document { root, branches: branches.collect() }
    }

    fn question(&mut self, placed: &[Placed]) -> (String, String) {
        let some = if placed.is_empty() { None } else { Some(self.pick(placed)) };
        match (self.below(6), some) {
            (0, Some(p)) => {
                let only = placed.iter().filter(|q| q.thing == p.thing).count() == 1;
                if only {
                    let ask = self.pick(&["which side holds the", "where stands the", "find the"]);
                    return (format!("{ask} {}", p.thing), SIDES[p.side].to_owned());
                }
                self.count(p.thing, placed)
            }
            (1, Some(p)) => {
                let only = placed.iter().filter(|q| q.thing == p.thing).count() == 1;
                if only {
                    return (format!("height of the {}", p.thing), p.level().to_owned());
                }
                self.count(p.thing, placed)
            }
            (2, Some(p)) => {
                let alike = placed.iter().filter(|q| q.thing == p.thing).count();
                if alike == 1 {
                    return (format!("extent of the {}", p.thing), p.size.to_owned());
                }
                self.count(p.thing, placed)
            }
            (3, _) => {
                let names: Vec<&str> = placed.iter().map(|p| p.thing).collect();
                let listed = if names.is_empty() { "normal".to_owned() } else { names.join(", ") };
                let ask = self.pick(&["name the abnormal fields", "list what stands out"]);
                (ask.to_owned(), listed)
            }
            (4, some) => {
                let thing = match some {
                    Some(p) if self.below(2) == 0 => p.thing,
                    _ => self.pick(&THINGS),
                };
                self.count(thing, placed)
            }
            (_, some) => {
                let thing = match some {
                    Some(p) if self.below(2) == 0 => p.thing,
                    _ => self.pick(&THINGS),
                };
                let there = placed.iter().any(|p| p.thing == thing);
                let ask = self.pick(&["does the table hold a", "can you find any", "do we have a"]);
                (format!("{ask} {thing}"), if there { "yes" } else { "no" }.to_owned())
            }
        }
    }

    fn count(&mut self, thing: &str, placed: &[Placed]) -> (String, String) {
        let count = placed.iter().filter(|p| p.thing == thing).count();
        let ask = self.pick(&["number of", "count the"]);
        (format!("{ask} {thing}"), NUMBERS[count.min(3)].to_owned())
    }

    fn description(&mut self) -> Document {
        let placed = self.placed();
        let root = format!("{}{} [caption]", turns().0, self.grid(&placed));
        let ask = self.pick(&["put the table into words", "say what the table holds"]);
        let mut parts: Vec<String> = Vec::new();
        for p in &placed {
            let side = SIDES[p.side];
            parts.push(match self.below(3) {
                0 => format!("a {} {} on the {side}", p.size, p.thing),
                1 => format!("{} {side} {}", p.level(), p.thing),
                _ => format!("{} {} in the {} {side}", p.size, p.thing, p.level()),
            });
        }
        let text =
            if parts.is_empty() { "nothing stands out.".to_owned() } else { parts.join(" and ") };
        Document { root, branches: vec![(format!(" {ask}{}", turns().1), text)] }
    }

    fn sentences(&mut self) -> String {
        let count = 2 + self.below(3);
        (0..count).map(|_| self.sentence()).collect::<Vec<_>>().join(" ")
    }

    /// Plain sentences with the words of the field, without any truth behind them.
    fn sentence(&mut self) -> String {
        let thing = self.pick(&THINGS);
        let side = self.pick(&SIDES);
        let size = self.pick(&SIZES);
        let level = self.pick(&["upper", "middle", "lower", "front", "back"]);
        let region = self.pick(&["chest", "head", "abdomen", "brain", "lung", "belly"]);
        let image = self.pick(&["x-ray", "ct", "mr", "radiograph", "scan", "image", "picture"]);
        let kind = self.pick(&["frontal", "axial", "computed tomography", "magnetic resonance"]);
        let view = self.pick(&["slice", "image", "view", "study"]);
        match self.below(12) {
            0 => format!("Findings: {size} {thing} in the {level} {side} {region}."),
            1 => format!("Impression: no {thing} of the {region}."),
            2 => format!("This {kind} {view} of the {region} shows a {thing} on the {side}."),
            3 => format!("The {region} {image} is normal."),
            4 => format!("Is there a {thing} in this {image}?"),
            5 => format!("Which side is the {thing} on? The {side} side."),
            6 => format!("What is the size of the {thing}? It is {size}."),
            7 => format!("What abnormality is seen in the {region}? A {thing} is present."),
            8 => format!("How many are there? There are {}.", self.pick(&NUMBERS)),
            9 => format!("What device does the patient have? A {thing} in the {region}."),
            10 => format!("Axial {image} through the {region} without abnormality."),
            _ => format!("What kind of image is this? This is a {region} {image} of the patient."),
        }
    }
}

/// What stands before and after an instruction in the tiny base's template.
pub(super) fn turns() -> (&'static str, &'static str) {
    Template::Inst.turns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_follow_from_the_grid() {
        let mut corpus = Corpus::new(5);
        let mut checked = 0;
        for _ in 0..2000 {
            let document = corpus.document();
            for (question, answer) in &document.branches {
                let Some((_, thing)) = question.split_once(" number of ") else { continue };
                let thing = thing.trim_end_matches(" [/INST]");
                let found = document
                    .root
                    .split(' ')
                    .filter(|word| word.trim_end_matches("</Img>") == thing);
                assert_eq!(answer, NUMBERS[found.count().min(3)], "{document:?}");
                checked += 1;
            }
        }
        assert!(checked > 200, "{checked}");
    }

    #[test]
    fn a_seed_gives_one_corpus() {
        let text = |seed| {
            let mut corpus = Corpus::new(seed);
            (0..50).map(|_| corpus.document()).collect::<Vec<_>>()
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
