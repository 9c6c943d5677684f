//! Phrases as one automaton: a tree of words that all lists share.
//!
//! The lists are flat files beside this one, in a notation that their first lines explain. A phrase is
//! a row of elements; alternatives and what may be left out are written into the tree, so that reading
//! a text takes a look-up a word, however many phrases there are.

use rustc_hash::{FxHashMap, FxHashSet};

use super::words::{Mark, Token, Words};

/// Most words that a gap `..` stands for.
const GAP: usize = 3;

/// One place in the tree.
#[derive(Clone, Debug)]
struct Node<T> {
    next: FxHashMap<u32, usize>,
    /// After any one word, where a phrase has a gap.
    any: Option<usize>,
    values: Vec<T>,
}

/// Phrases, each with what it means; a phrase may mean several things.
#[derive(Clone, Debug)]
pub(super) struct Phrases<T> {
    nodes: Vec<Node<T>>,
    /// Words that no gap goes over.
    barriers: FxHashSet<u32>,
}

impl<T: Copy + PartialEq> Phrases<T> {
    /// No phrases yet; gaps stop at `barriers`.
    pub(super) fn new(barriers: FxHashSet<u32>) -> Self {
        let mut phrases = Self { nodes: Vec::new(), barriers };
        phrases.add();
        phrases
    }

    fn add(&mut self) -> usize {
        self.nodes.push(Node { next: FxHashMap::default(), any: None, values: Vec::new() });
        self.nodes.len() - 1
    }

    fn step(&mut self, from: &[usize], word: u32) -> Vec<usize> {
        let mut reached = Vec::new();
        for node in from {
            let to = match self.nodes[*node].next.get(&word) {
                Some(to) => *to,
                None => self.add(),
            };
            self.nodes[*node].next.insert(word, to);
            reached.push(to);
        }
        reached
    }

    fn step_over(&mut self, from: &[usize]) -> Vec<usize> {
        let mut reached = Vec::new();
        for node in from {
            let to = match self.nodes[*node].any {
                Some(to) => to,
                None => self.add(),
            };
            self.nodes[*node].any = Some(to);
            reached.push(to);
        }
        reached
    }

    /// Adds a phrase in the notation of the lists.
    pub(super) fn insert(&mut self, phrase: &str, words: &mut Words, value: T) {
        let mut at = vec![0];
        for element in phrase.split_whitespace() {
            if element == ".." {
                let mut last = at.clone();
                for _ in 0..GAP {
                    last = self.step_over(&last);
                    at.extend(&last);
                }
                continue;
            }
            let (element, optional) = match element.strip_suffix('?') {
                Some(element) => (element, true),
                None => (element, false),
            };
            let mut reached = if optional { at.clone() } else { Vec::new() };
            for word in element.split('|') {
                let (word, plural) = match word.strip_suffix('+') {
                    Some(word) => (word, true),
                    None => (word, false),
                };
                let number = words.number(word);
                reached.extend(self.step(&at, number));
                if plural {
                    let number = words.number(&format!("{word}s"));
                    reached.extend(self.step(&at, number));
                }
            }
            at = reached;
        }
        for node in at {
            let values = &mut self.nodes[node].values;
            if node != 0 && !values.contains(&value) {
                values.push(value);
            }
        }
    }

    /// The longest phrase that begins at a word: where it ends, and what it means.
    pub(super) fn longest(&self, tokens: &[Token], at: usize) -> Option<(usize, &[T])> {
        let mut best = None;
        self.walk(0, tokens, at, at, &mut best);
        best.map(|(end, node)| (end, &self.nodes[node].values[..]))
    }

    fn walk(
        &self,
        node: usize,
        tokens: &[Token],
        start: usize,
        at: usize,
        best: &mut Option<(usize, usize)>,
    ) {
        let here = &self.nodes[node];
        if !here.values.is_empty() && best.is_none_or(|(end, _)| at > end) {
            *best = Some((at, node));
        }
        let Some(token) = tokens.get(at) else { return };
        // No phrase goes over a comma; a colon may stand between its words.
        if at > start && token.mark == Mark::Comma {
            return;
        }
        if let Some(next) = here.next.get(&token.word) {
            self.walk(*next, tokens, start, at + 1, best);
        }
        let goes_over = at == start || token.mark == Mark::None;
        if let Some(any) = here.any.filter(|_| goes_over && !self.barriers.contains(&token.word)) {
            self.walk(any, tokens, start, at + 1, best);
        }
    }
}

/// Lines of a list with the heading each stands under: `[heading]`, then a phrase a line; `#` begins a
/// remark.
pub(super) fn lines(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut heading = "";
    list.lines().filter_map(move |line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            heading = name;
            return None;
        }
        (!line.is_empty()).then_some((heading, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_phrase_is_found() {
        let mut words = Words::default();
        let barriers = [words.number("not")].into_iter().collect();
        let mut phrases = Phrases::new(barriers);
        phrases.insert("pleural? effusion+", &mut words, 1);
        phrases.insert("heart is|appears .. enlarged", &mut words, 2);
        phrases.insert("heart", &mut words, 3);
        for word in ["is", "very", "a", "large", "and"] {
            words.number(word);
        }
        let find = |text: &str| {
            let mut found = None;
            super::super::words::sentences(text, &words, |tokens, _| {
                found = phrases.longest(tokens, 0).map(|(end, values)| (end, values.to_vec()));
            });
            found
        };
        assert_eq!(find("pleural effusions"), Some((2, vec![1])));
        assert_eq!(find("effusion"), Some((1, vec![1])));
        assert_eq!(find("pleural, effusion"), None);
        assert_eq!(find("heart is very enlarged"), Some((4, vec![2])));
        assert_eq!(find("heart appears enlarged"), Some((3, vec![2])));
        assert_eq!(find("heart is not enlarged"), Some((1, vec![3])));
        assert_eq!(find("heart is a a a a enlarged"), Some((1, vec![3])));
        assert_eq!(find("liver"), None);
    }

    #[test]
    fn lists_have_headings_and_remarks() {
        let list = "# about\n[a b]\nx y # why\n\n[c]\nz";
        assert_eq!(lines(list).collect::<Vec<_>>(), [("a b", "x y"), ("c", "z")]);
    }
}
