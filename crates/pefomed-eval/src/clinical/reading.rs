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

/// How many words a cue reaches at most: longer than any list, so that it ends no scope of a sentence that
/// a person wrote.
const REACH: usize = 40;
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
    /// For every word whether a statement breaks off there.
    breaks: Vec<bool>,
    /// For every word whether an "or" follows before the statement breaks off: a list goes on.
    goes_on: Vec<bool>,
    /// For every word whether it is a comma or an "and" that begins a statement of its own.
    begins: Vec<bool>,
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
        let mut sentence = Self {
            lists,
            tokens,
            mentions,
            cues,
            breaks: vec![false; tokens.len()],
            goes_on: vec![false; tokens.len()],
            begins: Vec::new(),
        };
        for cue in sentence.cues.iter().filter(|cue| cue.what == Cue::Break) {
            sentence.breaks[cue.start] = true;
        }
        let mut goes_on = false;
        for place in (0..tokens.len()).rev() {
            let is_alternative = lists.alternative.contains(&tokens[place].word);
            goes_on = (goes_on || is_alternative) && !sentence.breaks[place];
            sentence.goes_on[place] = goes_on;
        }
        sentence.begins = (0..tokens.len()).map(|place| sentence.begins_statement(place)).collect();
        sentence
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
            if at - cue.end > REACH {
                break;
            }
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
        if at - from > REACH {
            return false;
        }
        let mut after_verb = false;
        for place in from..=at {
            let token = self.tokens[place];
            if (place > from && token.mark == Mark::Colon) || (place < at && self.breaks[place]) {
                return false;
            }
            if place > from && !self.goes_on[place] {
                let is_comma = token.mark == Mark::Comma;
                let ends = effect == Effect::Uncertain || after_verb;
                if self.begins[place] || (is_comma && ends) {
                    return false;
                }
            }
            after_verb |= self.lists.verbs.contains(&token.word);
        }
        true
    }

    /// Whether a comma or an "and" begins a statement of its own.
    fn begins_statement(&self, place: usize) -> bool {
        let is_and = self.tokens[place].word == self.lists.and;
        if !is_and && self.tokens[place].mark != Mark::Comma {
            return false;
        }
        let first = place + usize::from(is_and);
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
        for (place, token) in self.tokens.iter().enumerate().skip(first) {
            if place > first && (token.mark != Mark::None || token.word == self.lists.and) {
                return false;
            }
            if self.lists.verbs.contains(&token.word) {
                let next = self.tokens.get(place + 1);
                return next.is_none_or(|next| !self.lists.evidential.contains(&next.word));
            }
        }
        false
    }

    /// The effect of what stands behind a word: `end` is where the mention ends.
    fn backward(&self, end: usize) -> Option<Effect> {
        for cue in self.cues.iter().filter(|cue| cue.start >= end) {
            if cue.start - end > REACH {
                break;
            }
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
        let is_open = |place: usize| {
            let token = self.tokens[place];
            let is_verb = self.lists.verbs.contains(&token.word) && !relative(place);
            let is_comma = token.mark == Mark::Comma && !is_list;
            !is_verb && !is_comma && token.mark != Mark::Colon && !self.breaks[place]
        };
        between.clone().all(is_open) && self.tokens[cue.start].mark != Mark::Comma
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
        let between = self.tokens.get(from..to).unwrap_or_default();
        between.iter().any(|token| token.mark == Mark::Comma)
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
            let is_far = cue.start > organ.end + REACH || cue.end + REACH < organ.start;
            if !speaks || is_far {
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
