//! Questions about a phantom, balanced so that none is answered well without the picture.
//!
//! Whether a question is put depends on the truth, with odds chosen so that over many images each
//! answer to each kind of question is about equally likely: "is there a nodule?" is asked as
//! often of images with one as of images without, and images without nodules are other chests,
//! healthy and ill. Place and size are asked only of what is there.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::draw::Draw as _;
use super::facts::{FindingKind, Level, Modality, PhantomSpec, Region, Side};
use super::language::{article, plural, with_article};

/// Whether a question can be answered by yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AnswerType {
    /// Yes or no.
    Closed,
    /// Anything else.
    Open,
}

/// What a question is about, in the vocabulary of VQA-RAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QuestionType {
    /// Abnormality: whether, and which.
    Abn,
    /// Number.
    Count,
    /// How the picture was taken.
    Modality,
    /// Part of the body.
    Organ,
    /// Position.
    Pos,
    /// Presence of a finding or device.
    Pres,
    /// Size.
    Size,
}

impl fmt::Display for AnswerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
        })
    }
}

impl fmt::Display for QuestionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abn => "ABN",
            Self::Count => "COUNT",
            Self::Modality => "MODALITY",
            Self::Organ => "ORGAN",
            Self::Pos => "POS",
            Self::Pres => "PRES",
            Self::Size => "SIZE",
        })
    }
}

/// A question and its answer, both in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionAnswer {
    /// The question, with its question mark.
    pub question: String,
    /// One or two words.
    pub answer: String,
    /// Whether it is yes or no.
    pub answer_type: AnswerType,
    /// What is asked for.
    pub question_type: QuestionType,
}

/// Five questions about an image, more or less.
pub fn questions(spec: &PhantomSpec, rng: &mut ChaCha8Rng) -> Vec<QuestionAnswer> {
    let mut asked = Asked { spec, rng, list: Vec::with_capacity(9) };
    asked.modality();
    asked.region();
    asked.findings_present();
    asked.devices();
    asked.abnormality();
    asked.places();
    asked.sizes();
    asked.counts();
    asked.list
}

struct Asked<'a> {
    spec: &'a PhantomSpec,
    rng: &'a mut ChaCha8Rng,
    list: Vec<QuestionAnswer>,
}

impl Asked<'_> {
    fn open(&mut self, question_type: QuestionType, question: String, answer: &str) {
        self.list.push(QuestionAnswer {
            question,
            answer: answer.to_owned(),
            answer_type: AnswerType::Open,
            question_type,
        });
    }

    fn closed(&mut self, question_type: QuestionType, question: String, truth: bool) {
        self.list.push(QuestionAnswer {
            question,
            answer: if truth { "yes" } else { "no" }.to_owned(),
            answer_type: AnswerType::Closed,
            question_type,
        });
    }

    /// "is there a nodule?" in one of several wordings.
    fn presence(&mut self, thing: &str, truth: bool) {
        let question = match self.rng.below(4) {
            0 => format!("is there {thing}?"),
            1 => format!("is {thing} present?"),
            2 => format!("is {thing} seen in this image?"),
            _ => format!("does this image show {thing}?"),
        };
        self.closed(QuestionType::Pres, question, truth);
    }

    fn modality(&mut self) {
        if self.rng.chance(0.5) {
            return;
        }
        let truth = self.spec.modality;
        if self.rng.chance(0.5) {
            let question = match self.rng.below(3) {
                0 => "what modality is this?",
                1 => "what kind of scan is this?",
                _ => "how was this image taken?",
            };
            self.open(QuestionType::Modality, question.to_owned(), truth.name());
        } else {
            let yes = self.rng.chance(0.5);
            let asked = if yes { truth } else { self.another_modality(truth) };
            let name = asked.name();
            let question = match self.rng.below(2) {
                0 => format!("is this {} {name}?", article(name)),
                _ => format!("was this image taken by {name}?"),
            };
            self.closed(QuestionType::Modality, question, yes);
        }
    }

    /// Radiographs are the rarest, so they are asked about in vain the least often.
    fn another_modality(&mut self, truth: Modality) -> Modality {
        match truth {
            Modality::Xray => self.rng.pick(&[Modality::Ct, Modality::Mr]),
            _ if self.rng.chance(0.4) => Modality::Xray,
            Modality::Ct => Modality::Mr,
            Modality::Mr => Modality::Ct,
        }
    }

    fn region(&mut self) {
        if self.rng.chance(0.5) {
            return;
        }
        let truth = self.spec.region;
        if self.rng.chance(0.6) {
            let question = match self.rng.below(3) {
                0 => "what part of the body is shown?",
                1 => "which region is shown?",
                _ => "which region is this an image of?",
            };
            self.open(QuestionType::Organ, question.to_owned(), truth.name());
        } else {
            let yes = self.rng.chance(0.5);
            let others: Vec<Region> = Region::ALL.into_iter().filter(|&r| r != truth).collect();
            let asked = if yes { truth } else { self.rng.pick(&others) };
            let question = match self.rng.below(2) {
                0 => format!("is this an image of the {}?", asked.name()),
                _ => format!("is the {} shown?", asked.name()),
            };
            self.closed(QuestionType::Organ, question, yes);
        }
    }

    /// Yes 0.8 for 65 % of images; no 0.4 for the same and 0.743 for 35 %: as many yes as no.
    fn findings_present(&mut self) {
        let kinds = self.spec.kinds();
        let absent: Vec<FindingKind> =
            self.spec.region.kinds().into_iter().filter(|kind| !kinds.contains(kind)).collect();
        if !kinds.is_empty() && self.rng.chance(0.8) {
            let kind = self.rng.pick(&kinds);
            self.presence(&with_article(kind), true);
        }
        if self.rng.chance(if kinds.is_empty() { 0.743 } else { 0.4 }) {
            let kind = self.rng.pick(&absent);
            self.presence(&with_article(kind), false);
        }
    }

    /// Yes 0.6 for half of the images; no 0.2 for the same and 0.4 for the rest.
    fn devices(&mut self) {
        let choices = self.spec.region.devices();
        let Some(&device) = self.spec.devices.first() else {
            if self.rng.chance(0.4) {
                let kind = self.rng.pick(&choices);
                self.presence(&format!("a {}", kind.name()), false);
            }
            // About as often as any one device is the answer.
            if self.rng.chance(0.12) {
                self.device_open("none");
            }
            return;
        };
        if self.rng.chance(0.6) {
            self.presence(&format!("a {}", device.kind.name()), true);
        }
        if self.rng.chance(0.2) {
            let other = if choices[0] == device.kind { choices[1] } else { choices[0] };
            self.presence(&format!("a {}", other.name()), false);
        }
        if self.rng.chance(0.7) {
            self.device_open(device.kind.name());
        }
        if let Some(side) = device.side
            && self.rng.chance(0.4)
        {
            self.side(device.kind.name(), side);
        }
    }

    fn device_open(&mut self, answer: &str) {
        let question = match self.rng.below(3) {
            0 => "what device is seen?",
            1 => "which device is present?",
            _ => "what device does this image show?",
        };
        self.open(QuestionType::Pres, question.to_owned(), answer);
    }

    fn abnormality(&mut self) {
        let normal = self.spec.is_normal();
        // 0.7 of 35 % of images against 0.377 of 65 %.
        if self.rng.chance(if normal { 0.7 } else { 0.377 }) {
            let (question, truth) = match self.rng.below(4) {
                0 => ("is this image normal?", normal),
                1 => ("is everything normal?", normal),
                2 => ("is there an abnormality?", !normal),
                _ => ("is this image abnormal?", !normal),
            };
            self.closed(QuestionType::Abn, question.to_owned(), truth);
        }
        let kinds = self.spec.kinds();
        let answer = match kinds[..] {
            [] => "none",
            [kind] => kind.name(),
            // Two right answers would be one too many.
            _ => return,
        };
        if self.rng.chance(if normal { 0.12 } else { 0.8 }) {
            let question = match self.rng.below(3) {
                0 => "what abnormality is seen?",
                1 => "what is wrong in this image?",
                _ => "which abnormality does this image show?",
            };
            self.open(QuestionType::Abn, question.to_owned(), answer);
        }
    }

    fn side(&mut self, thing: &str, side: Side) {
        let question = match self.rng.below(3) {
            0 => format!("on which side is the {thing}?"),
            1 => format!("which side is the {thing} on?"),
            _ => format!("is the {thing} left or right?"),
        };
        self.open(QuestionType::Pos, question, side.name());
    }

    fn places(&mut self) {
        for kind in self.spec.kinds() {
            let Some(finding) = self.spec.of_kind(kind).next() else { continue };
            let count = self.spec.count(kind);
            if let Some(side) = finding.side {
                let (name, verb) =
                    if count > 1 { (plural(kind), "are") } else { (kind.name(), "is") };
                if self.rng.chance(0.5) {
                    if count == 1 {
                        self.side(name, side);
                    } else {
                        let question = format!("on which side are the {name}?");
                        self.open(QuestionType::Pos, question, side.name());
                    }
                }
                if self.rng.chance(0.5) {
                    let asked = self.rng.pick(&Side::ALL);
                    let question = match self.rng.below(2) {
                        0 => format!("{verb} the {name} on the {}?", asked.name()),
                        _ => format!("{verb} the {name} on the {} side?", asked.name()),
                    };
                    self.closed(QuestionType::Pos, question, asked == side);
                }
            }
            if let Some(level) = finding.level
                && count == 1
                && self.rng.chance(0.6)
            {
                self.level(kind, level);
            }
        }
    }

    fn level(&mut self, kind: FindingKind, level: Level) {
        let name = kind.name();
        let [first, second, third] = Level::of(self.spec.modality).map(Level::name);
        let question = match self.rng.below(2) {
            0 => format!("is the {name} {first}, {second} or {third}?"),
            _ => format!("in which part is the {name}, {first}, {second} or {third}?"),
        };
        self.open(QuestionType::Pos, question, level.name());
    }

    fn sizes(&mut self) {
        for kind in self.spec.kinds() {
            let Some(size) = self.spec.of_kind(kind).next().and_then(|finding| finding.size) else {
                continue;
            };
            if self.spec.count(kind) == 1 && self.rng.chance(0.5) {
                let name = kind.name();
                let question = match self.rng.below(2) {
                    0 => format!("is the {name} small or large?"),
                    _ => format!("what size is the {name}?"),
                };
                self.open(QuestionType::Size, question, size.name());
            }
        }
    }

    /// One lesion is commoner than two or three, and none commonest of all; the odds level that.
    fn counts(&mut self) {
        for kind in self.spec.region.kinds() {
            if !kind.is_countable() {
                continue;
            }
            let count = self.spec.count(kind);
            let odds = [0.07, 0.67, 1.0, 1.0][count.min(3)];
            if self.rng.chance(odds) {
                let question = match self.rng.below(3) {
                    0 => format!("how many {} are there?", plural(kind)),
                    1 => format!("how many {} are seen?", plural(kind)),
                    _ => format!("what is the number of {}?", plural(kind)),
                };
                self.open(QuestionType::Count, question, &count.to_string());
            }
        }
    }
}
