//! The English stemmer of Snowball (Porter 2001, "The English (Porter2) stemming algorithm"), in the
//! version of METEOR 1.5: without the words that Snowball has added to its exceptions since.

/// A word's letters while its endings are taken off.
struct Word {
    letters: Vec<char>,
    /// Where the first and second region begin.
    first: usize,
    second: usize,
}

/// The stem of a word in lower case.
pub(super) fn stem(word: &str) -> String {
    if let Some(stem) = exception(word) {
        return stem.to_owned();
    }
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 3 {
        return word.to_owned();
    }
    if letters[0] == '\'' {
        letters.remove(0);
    }
    // A y that is a consonant is marked by a capital.
    for at in 0..letters.len() {
        if letters[at] == 'y' && (at == 0 || is_vowel(letters[at - 1])) {
            letters[at] = 'Y';
        }
    }
    let mut word = Word { letters, first: 0, second: 0 };
    word.find_regions();
    word.possessive();
    word.plural();
    if !word.is_settled() {
        word.past_and_progressive();
        word.final_y();
        word.double_suffixes();
        word.further_suffixes();
        word.last_suffixes();
        word.final_e_or_l();
    }
    word.letters.iter().map(|letter| if *letter == 'Y' { 'y' } else { *letter }).collect()
}

fn exception(word: &str) -> Option<&'static str> {
    Some(match word {
        "skis" => "ski",
        "dying" => "die",
        "lying" => "lie",
        "tying" => "tie",
        "idly" => "idl",
        "gently" => "gentl",
        "ugly" => "ugli",
        "early" => "earli",
        "only" => "onli",
        "singly" => "singl",
        "sky" | "skies" => "sky",
        "news" => "news",
        "howe" => "howe",
        "atlas" => "atlas",
        "cosmos" => "cosmos",
        "bias" => "bias",
        "andes" => "andes",
        _ => return None,
    })
}

fn is_vowel(letter: char) -> bool {
    matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

impl Word {
    fn ends(&self, suffix: &str) -> bool {
        let length = suffix.len();
        self.letters.len() >= length
            && self.letters[self.letters.len() - length..].iter().copied().eq(suffix.chars())
    }

    fn starts(&self, prefix: &str) -> bool {
        prefix.chars().eq(self.letters.iter().copied().take(prefix.len()))
    }

    /// Where a suffix of some length begins.
    fn before(&self, length: usize) -> usize {
        self.letters.len() - length
    }

    fn replace(&mut self, length: usize, with: &str) {
        self.letters.truncate(self.letters.len() - length);
        self.letters.extend(with.chars());
    }

    /// The longest of some suffixes that the word has.
    fn longest<'a>(&self, suffixes: &[(&'a str, &'a str)]) -> Option<(&'a str, &'a str)> {
        suffixes
            .iter()
            .filter(|(suffix, _)| self.ends(suffix))
            .max_by_key(|(s, _)| s.len())
            .copied()
    }

    /// The region after the first consonant that follows a vowel, and the same again within it.
    fn find_regions(&mut self) {
        let after = |letters: &[char], from: usize| {
            let vowel = (from..letters.len()).find(|at| is_vowel(letters[*at]))?;
            let other = (vowel + 1..letters.len()).find(|at| !is_vowel(letters[*at]))?;
            Some(other + 1)
        };
        let length = self.letters.len();
        let given = ["gener", "commun", "arsen"].into_iter().find(|prefix| self.starts(prefix));
        self.first = given.map(str::len).or_else(|| after(&self.letters, 0)).unwrap_or(length);
        self.second = after(&self.letters, self.first).unwrap_or(length);
    }

    fn has_vowel_before(&self, end: usize) -> bool {
        self.letters[..end].iter().any(|letter| is_vowel(*letter))
    }

    /// Whether the letters end in a short syllable.
    fn ends_short(&self) -> bool {
        match self.letters[..] {
            [.., before, vowel, last] => {
                !is_vowel(before)
                    && is_vowel(vowel)
                    && !is_vowel(last)
                    && !matches!(last, 'w' | 'x' | 'Y')
            }
            [vowel, last] => is_vowel(vowel) && !is_vowel(last),
            _ => false,
        }
    }

    fn possessive(&mut self) {
        for suffix in ["'s'", "'s", "'"] {
            if self.ends(suffix) {
                self.replace(suffix.len(), "");
                return;
            }
        }
    }

    fn plural(&mut self) {
        if self.ends("sses") {
            self.replace(4, "ss");
        } else if self.ends("ied") || self.ends("ies") {
            self.replace(3, if self.letters.len() > 4 { "i" } else { "ie" });
        } else if self.ends("us") || self.ends("ss") {
        } else if self.ends("s") && self.letters.len() >= 2 && self.has_vowel_before(self.before(2))
        {
            self.replace(1, "");
        }
    }

    fn is_settled(&self) -> bool {
        let word: String = self.letters.iter().collect();
        let settled =
            ["inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"];
        settled.contains(&word.as_str())
    }

    fn past_and_progressive(&mut self) {
        for suffix in ["eedly", "eed"] {
            if self.ends(suffix) {
                if self.before(suffix.len()) >= self.first {
                    self.replace(suffix.len(), "ee");
                }
                return;
            }
        }
        let found = ["ingly", "edly", "ing", "ed"].into_iter().find(|suffix| self.ends(suffix));
        let Some(suffix) = found else { return };
        if !self.has_vowel_before(self.before(suffix.len())) {
            return;
        }
        self.replace(suffix.len(), "");
        let doubled = ["bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"];
        if ["at", "bl", "iz"].iter().any(|ending| self.ends(ending)) {
            self.letters.push('e');
        } else if doubled.iter().any(|ending| self.ends(ending)) {
            self.letters.pop();
        } else if self.letters.len() == self.first && self.ends_short() {
            self.letters.push('e');
        }
    }

    fn final_y(&mut self) {
        let length = self.letters.len();
        if length > 2 && matches!(self.letters[length - 1], 'y' | 'Y') {
            let before = self.letters[length - 2];
            if !is_vowel(before) {
                self.replace(1, "i");
            }
        }
    }

    fn double_suffixes(&mut self) {
        const SUFFIXES: [(&str, &str); 24] = [
            ("tional", "tion"),
            ("enci", "ence"),
            ("anci", "ance"),
            ("abli", "able"),
            ("entli", "ent"),
            ("izer", "ize"),
            ("ization", "ize"),
            ("ational", "ate"),
            ("ation", "ate"),
            ("ator", "ate"),
            ("alism", "al"),
            ("aliti", "al"),
            ("alli", "al"),
            ("fulness", "ful"),
            ("ousli", "ous"),
            ("ousness", "ous"),
            ("iveness", "ive"),
            ("iviti", "ive"),
            ("biliti", "ble"),
            ("bli", "ble"),
            ("ogi", "og"),
            ("fulli", "ful"),
            ("lessli", "less"),
            ("li", ""),
        ];
        let Some((suffix, with)) = self.longest(&SUFFIXES) else { return };
        let begin = self.before(suffix.len());
        let before = begin.checked_sub(1).map(|at| self.letters[at]);
        let allowed = match suffix {
            "ogi" => before == Some('l'),
            "li" => before.is_some_and(|letter| "cdeghkmnrt".contains(letter)),
            _ => true,
        };
        if begin >= self.first && allowed {
            self.replace(suffix.len(), with);
        }
    }

    fn further_suffixes(&mut self) {
        const SUFFIXES: [(&str, &str); 9] = [
            ("tional", "tion"),
            ("ational", "ate"),
            ("alize", "al"),
            ("icate", "ic"),
            ("iciti", "ic"),
            ("ical", "ic"),
            ("ful", ""),
            ("ness", ""),
            ("ative", ""),
        ];
        let Some((suffix, with)) = self.longest(&SUFFIXES) else { return };
        let region = if suffix == "ative" { self.second } else { self.first };
        if self.before(suffix.len()) >= self.first.max(region) {
            self.replace(suffix.len(), with);
        }
    }

    fn last_suffixes(&mut self) {
        const SUFFIXES: [(&str, &str); 18] = [
            ("al", ""),
            ("ance", ""),
            ("ence", ""),
            ("er", ""),
            ("ic", ""),
            ("able", ""),
            ("ible", ""),
            ("ant", ""),
            ("ement", ""),
            ("ment", ""),
            ("ent", ""),
            ("ism", ""),
            ("ate", ""),
            ("iti", ""),
            ("ous", ""),
            ("ive", ""),
            ("ize", ""),
            ("ion", ""),
        ];
        let Some((suffix, _)) = self.longest(&SUFFIXES) else { return };
        let begin = self.before(suffix.len());
        let before = begin.checked_sub(1).map(|at| self.letters[at]);
        if begin >= self.second && (suffix != "ion" || matches!(before, Some('s' | 't'))) {
            self.replace(suffix.len(), "");
        }
    }

    fn final_e_or_l(&mut self) {
        let Some(end) = self.letters.len().checked_sub(1) else { return };
        if self.letters[end] == 'e' {
            let short = Self { letters: self.letters[..end].to_vec(), first: 0, second: 0 };
            if end >= self.second || (end >= self.first && !short.ends_short()) {
                self.letters.pop();
            }
        } else if self.ends("ll") && end >= self.second {
            self.letters.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_those_of_the_archive() {
        let golden = include_str!("../../../tests/fixtures/lexical_stems.json");
        let rows: Vec<(String, String)> = serde_json::from_str(golden).unwrap();
        assert!(rows.len() > 3_000, "{} words", rows.len());
        let wrong: Vec<String> = rows
            .iter()
            .filter(|(word, expected)| stem(word) != *expected)
            .map(|(word, expected)| format!("{word}: {}, expected {expected}", stem(word)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
