//! One sentence: which findings it mentions, and whether it asserts, denies or doubts them.
//!
//! The manner is that of NegEx (Chapman et al. 2001) and of the CheXpert labeler: a mention is true
//! unless a cue in its clause says otherwise. Three things are ours. A clause ends where a new statement
//! begins, not after a number of words: a "no" covers the list "effusion, pneumothorax or consolidation"
//! and ends before ", small effusion". A negation under a negation ("cannot be excluded") is doubt, and
//! one of change ("no change in the effusion") is none. And an organ says nothing until a word of the
//! same clause says how it is ("heart and mediastinum are within normal limits").

use super::finding::{Finding, Label};
use super::lists::{Cue, Effect, Lists, Mention, Reach, Sign};
use super::words::{Mark, Token};

/// Most words between an adjective and the organ it speaks of: "normal cardiac and mediastinal contours".
const BEFORE_ORGAN: usize = 3;
/// Most words between two findings that an "or" makes alternatives.
const ALTERNATIVE: usize = 5;

/// Something found in a sentence: what, and the words it takes up.
#[derive(Clone, Copy, Debug)]
struct Found<T> {
    what: T,
    start: usize,
    end: usize,
}

/// A sentence with what was found in it.
struct Sentence<'a> {
    lists: &'a Lists,
    tokens: &'a [Token],
    mentions: Vec<Found<Mention>>,
    cues: Vec<Found<Cue>>,
}

/// Gives every finding that a sentence labels.
pub(super) fn read(lists: &Lists, tokens: &[Token], mut give: impl FnMut(Finding, Label)) {
    let sentence = Sentence::new(lists, tokens);
    let labels: Vec<Option<Label>> =
        sentence.mentions.iter().map(|mention| sentence.label(mention)).collect();
    for (at, (mention, label)) in sentence.mentions.iter().zip(&labels).enumerate() {
        let Some(label) = *label else { continue };
        let doubted = label == Label::Positive && sentence.has_alternative(at, &labels);
        give(mention.what.finding, if doubted { Label::Uncertain } else { label });
    }
}

impl<'a> Sentence<'a> {
    fn new(lists: &'a Lists, tokens: &'a [Token]) -> Self {
        let (mut mentions, mut cues) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < tokens.len() {
            // A finding's own words are no cues, but for a cue that is longer.
            let mention = lists.mentions.longest(tokens, at);
            let cue = lists.cues.longest(tokens, at);
            let is_mention = match (mention, cue) {
                (Some((mention, _)), Some((cue, _))) => mention >= cue,
                (mention, _) => mention.is_some(),
            };
            let end = if is_mention {
                mention.map(|(end, all)| {
                    let all = all.iter().filter_map(|what| *what);
                    mentions.extend(all.map(|what| Found { what, start: at, end }));
                    end
                })
            } else {
                cue.map(|(end, all)| {
                    cues.extend(all.iter().map(|what| Found { what: *what, start: at, end }));
                    end
                })
            };
            at = end.unwrap_or(at + 1);
        }
        Self { lists, tokens, mentions, cues }
    }

    fn label(&self, mention: &Found<Mention>) -> Option<Label> {
        match mention.what.sign {
            Sign::Absent => Some(Label::Negative),
            Sign::Organ => self.organ(mention),
            Sign::Present | Sign::Doubtful => match self.effect(mention.start, mention.end) {
                Some(Effect::Negative) => Some(Label::Negative),
                Some(Effect::Uncertain) => Some(Label::Uncertain),
                Some(Effect::Unasserted) => None,
                None if mention.what.sign == Sign::Doubtful => Some(Label::Uncertain),
                None => Some(Label::Positive),
            },
        }
    }

    /// What the cues around some words make of them; none when they are plainly asserted.
    fn effect(&self, start: usize, end: usize) -> Option<Effect> {
        let ahead = self.forward(start);
        let behind = self.backward(end);
        match (ahead, behind) {
            // "No pneumothorax can be excluded" doubts it, a suspicion that "is not seen" denies it.
            (_, Some(effect @ (Effect::Uncertain | Effect::Negative))) => Some(effect),
            (ahead, _) => ahead,
        }
    }

    /// The effect of what stands before a word.
    fn forward(&self, at: usize) -> Option<Effect> {
        let mut nearest: Option<(Effect, usize)> = None;
        for cue in self.cues.iter().rev().filter(|cue| cue.end <= at) {
            let Cue::Says(effect, Reach::Forward | Reach::Beside) = cue.what else { continue };
            if !self.reaches(effect, cue.end, at) {
                continue;
            }
            let Some((known, from)) = nearest else {
                nearest = Some((effect, cue.start));
                continue;
            };
            // "No possible effusion" and "rule out possible effusion": within one clause, what comes
            // first counts.
            if known == Effect::Uncertain && effect != known && !self.has_comma(cue.end, from) {
                nearest = Some((effect, cue.start));
            }
        }
        nearest.map(|(effect, _)| effect)
    }

    /// Whether a cue that ends at `from` still acts on the word `at`.
    fn reaches(&self, effect: Effect, from: usize, at: usize) -> bool {
        let mut after_verb = false;
        for place in from..=at {
            if place > from && self.tokens[place].mark == Mark::Colon {
                return false;
            }
            let begins = self.cues.iter().filter(|cue| cue.start == place);
            if begins.clone().any(|cue| cue.what == Cue::Break) && place < at {
                return false;
            }
            let is_comma = self.tokens[place].mark == Mark::Comma;
            let is_and = self.lists.and == self.tokens[place].word;
            if place > from && (is_comma || is_and) && !self.goes_on(place) {
                let ends = effect == Effect::Uncertain && is_comma;
                if ends || (is_comma && after_verb) || self.begins_statement(place, is_and) {
                    return false;
                }
            }
            after_verb |= self.lists.verbs.contains(&self.tokens[place].word);
        }
        true
    }

    /// Whether a list is still going on at a comma: an "or" follows before the statement ends.
    fn goes_on(&self, at: usize) -> bool {
        let until = self.next_break(at);
        (at..until).any(|place| self.lists.alternative.contains(&self.tokens[place].word))
    }

    /// Where the next break stands at or after a word.
    fn next_break(&self, at: usize) -> usize {
        let breaks = self.cues.iter().filter(|cue| cue.what == Cue::Break && cue.start >= at);
        breaks.map(|cue| cue.start).min().unwrap_or(self.tokens.len())
    }

    /// Whether what follows a comma or an "and" is a statement of its own.
    fn begins_statement(&self, place: usize, is_and: bool) -> bool {
        let and_after_comma = self.tokens[place].word == self.lists.and;
        let first = place + usize::from(is_and || and_after_comma);
        let Some(word) = self.tokens.get(first) else { return false };
        if self.lists.affirming.contains(&word.word) {
            return true;
        }
        let says = |cue: &Found<Cue>| {
            matches!(
                cue.what,
                Cue::Says(Effect::Uncertain | Effect::Unasserted, Reach::Forward | Reach::Beside)
                    | Cue::Break
            )
        };
        if self.cues.iter().any(|cue| cue.start == first && says(cue)) {
            return true;
        }
        let mut rest = first;
        while let Some(token) = self.tokens.get(rest) {
            if rest > first && (token.mark != Mark::None || token.word == self.lists.and) {
                return false;
            }
            if self.lists.verbs.contains(&token.word) {
                let next = self.tokens.get(rest + 1);
                return next.is_none_or(|next| !self.lists.evidential.contains(&next.word));
            }
            rest += 1;
        }
        false
    }

    /// The effect of what stands behind a word: `end` is where the mention ends.
    fn backward(&self, end: usize) -> Option<Effect> {
        for cue in self.cues.iter().filter(|cue| cue.start >= end) {
            let Cue::Says(effect, reach) = cue.what else { continue };
            let acts = match reach {
                Reach::Forward => false,
                Reach::Backward => self.comes_from(end, cue),
                Reach::Beside => self.stands_beside(end, cue),
            };
            if acts {
                return Some(effect);
            }
        }
        None
    }

    /// Whether a cue with a verb speaks of a mention that ends at `end`: no other statement lies
    /// between them, and a comma only inside a list.
    fn comes_from(&self, end: usize, cue: &Found<Cue>) -> bool {
        let between = end..cue.start;
        let is_list = self.tokens[between.clone()]
            .iter()
            .any(|token| self.lists.alternative.contains(&token.word))
            || self.lists.plural.contains(&self.tokens[cue.start].word);
        let relative =
            |place: usize| place > 0 && self.lists.relative.contains(&self.tokens[place - 1].word);
        between.clone().all(|place| {
            let token = self.tokens[place];
            let is_verb = self.lists.verbs.contains(&token.word) && !relative(place);
            !is_verb && token.mark != Mark::Colon && (token.mark != Mark::Comma || is_list)
        }) && (self.tokens[cue.start].mark != Mark::Comma)
            && !self
                .cues
                .iter()
                .any(|other| other.what == Cue::Break && between.contains(&other.start))
    }

    /// Whether a cue without a verb speaks of the mention right before it: nothing follows that it
    /// could speak of.
    fn stands_beside(&self, end: usize, cue: &Found<Cue>) -> bool {
        let Cue::Says(effect, _) = cue.what else { return false };
        if cue.start - end > 1 || (cue.start > end && self.tokens[end].mark != Mark::None) {
            return false;
        }
        let follows = |mention: &Found<Mention>| {
            mention.start >= cue.end && self.reaches(effect, cue.end, mention.start)
        };
        // After a comma it must stand alone: "effusion, resolved, and edema".
        let alone = self.tokens.get(cue.end).is_none_or(|next| next.mark == Mark::Comma);
        (self.tokens[cue.start].mark != Mark::Comma || alone) && !self.mentions.iter().any(follows)
    }

    fn has_comma(&self, from: usize, to: usize) -> bool {
        self.tokens[from..to].iter().any(|token| token.mark == Mark::Comma)
    }

    /// What the nearest word that speaks of an organ says.
    fn organ(&self, organ: &Found<Mention>) -> Option<Label> {
        let mut best: Option<(usize, &Found<Cue>)> = None;
        for cue in &self.cues {
            let speaks = match cue.what {
                Cue::Normal | Cue::DoubtfulState => true,
                Cue::Abnormal(finding) => finding == organ.what.finding,
                _ => false,
            };
            if !speaks {
                continue;
            }
            let distance = if cue.start >= organ.end {
                self.state_after(organ.end, cue)
            } else {
                self.state_before(organ.start, cue)
            };
            if let Some(distance) = distance
                && best.is_none_or(|(known, _)| distance < known)
            {
                best = Some((distance, cue));
            }
        }
        let (_, cue) = best?;
        if cue.what == Cue::DoubtfulState {
            return Some(Label::Uncertain);
        }
        let effect = self.effect(cue.start, cue.end);
        let is_normal = cue.what == Cue::Normal;
        // "Lungs are not clear", where the "not" stands right before.
        let denied = self.cues.iter().any(|other| {
            matches!(other.what, Cue::Says(Effect::Negative, Reach::Forward))
                && other.end <= cue.start
                && cue.start - other.end <= 1
                && !self.has_comma(other.end, cue.start + 1)
        });
        match (is_normal, effect) {
            (_, Some(Effect::Unasserted)) => None,
            (true, _) if denied => Some(Label::Positive),
            (true, _) | (false, Some(Effect::Negative)) => Some(Label::Negative),
            (false, Some(Effect::Uncertain)) => Some(Label::Uncertain),
            (false, None) => Some(Label::Positive),
        }
    }

    /// Distance to a state that follows, over at most one verb: "heart and mediastinum are normal".
    fn state_after(&self, end: usize, cue: &Found<Cue>) -> Option<usize> {
        let verbs = (end..cue.start)
            .filter(|place| self.lists.verbs.contains(&self.tokens[*place].word))
            .count();
        let blocked = self.cues.iter().any(|other| {
            let between = (end..cue.start).contains(&other.start);
            between && matches!(other.what, Cue::Break | Cue::Normal | Cue::Abnormal(_))
        });
        (verbs <= 1 && !blocked).then_some(cue.start - end)
    }

    /// Distance to a state right before: "normal heart size".
    fn state_before(&self, start: usize, cue: &Found<Cue>) -> Option<usize> {
        let distance = start.checked_sub(cue.end)?;
        let plain = !self.has_comma(cue.end, start + 1)
            && (cue.end..start).all(|place| !self.lists.verbs.contains(&self.tokens[place].word));
        (distance <= BEFORE_ORGAN && plain).then_some(distance)
    }

    /// Whether a word makes alternatives of what it stands between; an "or" inside a cue ("with or
    /// without") does not.
    fn parts(&self, place: usize) -> bool {
        let word = self.tokens[place].word;
        let in_cue = || self.cues.iter().any(|cue| (cue.start..cue.end).contains(&place));
        self.lists.contrast.contains(&word) || (self.lists.alternative.contains(&word) && !in_cue())
    }

    /// Whether another finding stands beside this one as an alternative: "atelectasis or pneumonia".
    fn has_alternative(&self, at: usize, labels: &[Option<Label>]) -> bool {
        let this = &self.mentions[at];
        self.mentions.iter().zip(labels).any(|(other, label)| {
            let (first, second) =
                if other.start < this.start { (other, this) } else { (this, other) };
            let apart = second.start.saturating_sub(first.end);
            *label >= Some(Label::Uncertain)
                && other.what.finding != this.what.finding
                && matches!(other.what.sign, Sign::Present | Sign::Doubtful)
                && first.end <= second.start
                && apart <= ALTERNATIVE
                && !self.mentions.iter().any(|m| first.end <= m.start && m.end <= second.start)
                && (first.end..second.start).any(|place| self.parts(place))
        })
    }
}
