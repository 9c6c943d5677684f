//! The alignment of two texts: which words (or phrases) of one stand for which of the other.
//!
//! Every word takes part in at most one match. Of all alignments METEOR wants the one that covers
//! most, then the one with fewest chunks (runs in the same order on both sides), then the one whose
//! matches are closest in place, and looks for it with a beam of 40. The search is that of METEOR
//! 1.5's `Aligner`, whose peculiarities decide between equally good alignments and are kept:
//! coverage is a whole number, so a single match that is not exact adds nothing to it, and the
//! distance of a match that is tried is charged to the alternatives tried after it.

/// How many partial alignments are followed.
const BEAM: usize = 40;

/// Ways to match, in METEOR's order.
pub(super) const MODULES: usize = 4;

/// Words of the reference that could stand for words of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Which module found it: 0 exact, 1 stem, 2 synonym, 3 paraphrase.
    pub(super) module: u8,
    /// First word and number of words in the reference.
    pub(super) reference: (u32, u32),
    /// First word and number of words in the candidate.
    pub(super) candidate: (u32, u32),
}

/// Everything that could match, by first word of the reference, and how often each word is covered.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    by_place: Vec<Vec<Match>>,
    covered_candidate: Vec<u32>,
    covered_reference: Vec<u32>,
}

impl Candidates {
    pub(super) fn new(candidate: usize, reference: usize) -> Self {
        Self {
            by_place: vec![Vec::new(); reference],
            covered_candidate: vec![0; candidate],
            covered_reference: vec![0; reference],
        }
    }

    pub(super) fn add(&mut self, found: Match) {
        for place in range(found.candidate) {
            self.covered_candidate[place] += 1;
        }
        for place in range(found.reference) {
            self.covered_reference[place] += 1;
        }
        self.by_place[found.reference.0 as usize].push(found);
    }

    /// The only match at a place, if none of its words has another.
    fn certain(&self, place: usize) -> Option<Match> {
        let [only] = self.by_place[place][..] else { return None };
        let alone = range(only.candidate).all(|word| self.covered_candidate[word] == 1)
            && range(only.reference).all(|word| self.covered_reference[word] == 1);
        alone.then_some(only)
    }
}

fn range((start, length): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..(start + length) as usize
}

/// A partial alignment. Words in use are bits in the arena of the search.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// Covered words of both sides, weighted by module, in whole numbers.
    covered: (u32, u32),
    chunks: u32,
    distance: u32,
    /// The next word of the reference to look at.
    next: u32,
    /// End in the candidate of the match just before; none after a gap.
    last_end: Option<u32>,
    /// Its last chosen match, in the arena.
    chosen: Option<u32>,
    /// Where its bits begin in the arena.
    used: u32,
}

impl Path {
    /// Smaller is better.
    fn rank(&self) -> (std::cmp::Reverse<u32>, u32, u32) {
        (std::cmp::Reverse(self.covered.0 + self.covered.1), self.chunks, self.distance)
    }

    fn take(&mut self, found: Match) {
        // Exact words count whole, others half, and what is left over is dropped each time.
        let half = |length: u32| if found.module == 0 { 2 * length } else { length } / 2;
        self.covered.0 += half(found.candidate.1);
        self.covered.1 += half(found.reference.1);
        if self.last_end.is_some_and(|end| end != found.candidate.0) {
            self.chunks += 1;
        }
        self.next = found.reference.0 + found.reference.1;
        self.last_end = Some(found.candidate.0 + found.candidate.1);
    }
}

/// Memory of the search, used again for every pair.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Bits of the words in use: the candidate's, then the reference's, for each path.
    bits: Vec<u64>,
    /// Chosen matches with the one chosen before.
    chosen: Vec<(Match, Option<u32>)>,
    paths: Vec<Path>,
    next: Vec<Path>,
}

impl Search {
    /// The matches of the best alignment found, in the order of the reference.
    pub(super) fn best(&mut self, candidates: &Candidates) -> Vec<Match> {
        let words = candidates.covered_candidate.len();
        let places = candidates.by_place.len();
        let (left, right) = (words.div_ceil(64), places.div_ceil(64));
        self.bits.clear();
        self.chosen.clear();
        self.paths.clear();
        self.next.clear();
        self.bits.resize(left + right, 0);
        let certain: Vec<Option<Match>> =
            (0..places).map(|place| candidates.certain(place)).collect();
        for found in certain.iter().flatten() {
            set(&mut self.bits[..left], found.candidate);
            set(&mut self.bits[left..], found.reference);
        }
        self.next.push(Path {
            covered: (0, 0),
            chunks: 0,
            distance: 0,
            next: 0,
            last_end: None,
            chosen: None,
            used: 0,
        });
        for place in 0..places {
            std::mem::swap(&mut self.paths, &mut self.next);
            self.next.clear();
            self.sort_paths();
            for rank in 0..self.paths.len().min(BEAM) {
                let mut path = self.paths[rank];
                let used = path.used as usize..path.used as usize + left + right;
                if is_set(&self.bits[used.clone()][left..], place) {
                    if (place as u32) < path.next {
                        self.next.push(path);
                    } else if let Some(found) = certain[path.next as usize] {
                        path.take(found);
                        path.distance += found.reference.0.abs_diff(found.candidate.0);
                        self.next.push(path);
                    }
                    continue;
                }
                for found in &candidates.by_place[place] {
                    let bits = &self.bits[used.clone()];
                    if any_set(&bits[left..], found.reference)
                        || any_set(&bits[..left], found.candidate)
                    {
                        continue;
                    }
                    let mut with = path;
                    with.used = self.bits.len() as u32;
                    self.bits.extend_from_within(used.clone());
                    let bits = &mut self.bits[with.used as usize..];
                    set(&mut bits[..left], found.candidate);
                    set(&mut bits[left..], found.reference);
                    with.take(*found);
                    with.chosen = Some(self.chosen.len() as u32);
                    self.chosen.push((*found, path.chosen));
                    path.distance += found.reference.0.abs_diff(found.candidate.0);
                    self.next.push(with);
                }
                // The word may also stay without a match.
                if path.last_end.take().is_some() {
                    path.chunks += 1;
                }
                path.next += 1;
                self.next.push(path);
            }
            if self.next.is_empty() {
                self.next.extend(self.paths.first());
            }
        }
        std::mem::swap(&mut self.paths, &mut self.next);
        self.sort_paths();
        self.paths.truncate(BEAM);
        for path in &mut self.paths {
            path.chunks += u32::from(path.last_end.is_some());
        }
        let best = self.paths.iter().min_by_key(|path| path.rank());
        let mut found: Vec<Match> = certain.into_iter().flatten().collect();
        let mut at = best.and_then(|path| path.chosen);
        while let Some((chosen, before)) = at.and_then(|at| self.chosen.get(at as usize)) {
            found.push(*chosen);
            at = *before;
        }
        found.sort_unstable_by_key(|found| found.reference.0);
        found
    }

    /// Best first; equally good ones stay in order.
    fn sort_paths(&mut self) {
        if self.paths.len() > 1 {
            self.paths.sort_by_key(Path::rank);
        }
    }
}

fn set(bits: &mut [u64], words: (u32, u32)) {
    for word in range(words) {
        bits[word / 64] |= 1 << (word % 64);
    }
}

fn is_set(bits: &[u64], word: usize) -> bool {
    bits[word / 64] >> (word % 64) & 1 == 1
}

fn any_set(bits: &[u64], words: (u32, u32)) -> bool {
    range(words).any(|word| is_set(bits, word))
}

/// Number of runs that stand in the same order, side by side, in both texts.
pub(super) fn chunks(matches: &[Match]) -> u32 {
    let mut chunks = 0;
    let mut end = None;
    for found in matches {
        if end != Some((found.reference.0, found.candidate.0)) {
            chunks += 1;
        }
        end = Some((found.reference.0 + found.reference.1, found.candidate.0 + found.candidate.1));
    }
    chunks
}
