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
    matches: Vec<Match>,
    /// Where the matches of each place begin; one more entry than there are places.
    begins: Vec<u32>,
    covered_candidate: Vec<u32>,
    covered_reference: Vec<u32>,
}

impl Candidates {
    /// Forgets everything, for two texts of these lengths.
    pub(super) fn begin(&mut self, candidate: usize, reference: usize) {
        self.matches.clear();
        self.begins.clear();
        for (covered, length) in
            [(&mut self.covered_candidate, candidate), (&mut self.covered_reference, reference)]
        {
            covered.clear();
            covered.resize(length, 0);
        }
    }

    /// Takes a match; of those of one place the first is tried first.
    pub(super) fn add(&mut self, found: Match) {
        for place in range(found.candidate) {
            self.covered_candidate[place] += 1;
        }
        for place in range(found.reference) {
            self.covered_reference[place] += 1;
        }
        self.matches.push(found);
    }

    /// Sorts the matches by place once all are there.
    pub(super) fn finish(&mut self) {
        self.matches.sort_by_key(|found| found.reference.0);
        let mut at = 0;
        for place in 0..=self.covered_reference.len() {
            while self.matches.get(at).is_some_and(|found| (found.reference.0 as usize) < place) {
                at += 1;
            }
            self.begins.push(at as u32);
        }
    }

    fn at(&self, place: usize) -> &[Match] {
        &self.matches[self.begins[place] as usize..self.begins[place + 1] as usize]
    }

    /// The only match at a place, if none of its words has another.
    fn certain(&self, place: usize) -> Option<Match> {
        let [only] = *self.at(place) else { return None };
        let alone = range(only.candidate).all(|word| self.covered_candidate[word] == 1)
            && range(only.reference).all(|word| self.covered_reference[word] == 1);
        alone.then_some(only)
    }
}

fn range((start, length): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..(start + length) as usize
}

/// Stands for no word, no match and nothing chosen.
const NONE: u32 = u32::MAX;

/// A partial alignment. Which words it uses is written down only once it is among the best. Forty of
/// them are looked at for every word, so that it is as small as can be.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// Covered words of both sides, weighted by module, in whole numbers.
    covered: u32,
    chunks: u32,
    distance: u32,
    /// The next word of the reference to look at.
    next: u32,
    /// End in the candidate of the match just before; [`NONE`] after a gap.
    last_end: u32,
    /// Its last chosen match, in the arena.
    chosen: u32,
    /// The set of words in use that it came from, and the match that it adds to it.
    used: u32,
    added: u32,
}

impl Path {
    /// Smaller is better: more words covered, then fewer chunks, then less distance, then an earlier
    /// place `at` among the paths.
    fn rank(&self, at: u32) -> u128 {
        let parts = [u32::MAX - self.covered, self.chunks, self.distance, at];
        parts.into_iter().fold(0, |rank, part| rank << 32 | u128::from(part))
    }

    fn take(&mut self, found: &Match) {
        // Exact words count whole, others half, and what is left over is dropped each time.
        let half = |length: u32| if found.module == 0 { 2 * length } else { length } / 2;
        self.covered += half(found.candidate.1) + half(found.reference.1);
        if self.last_end != NONE && self.last_end != found.candidate.0 {
            self.chunks += 1;
        }
        self.next = found.reference.0 + found.reference.1;
        self.last_end = found.candidate.0 + found.candidate.1;
    }
}

/// Memory of the search, used again for every pair.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Sets of words in use, as bits: the candidate's, then the reference's. Paths share them.
    bits: Vec<u64>,
    /// Chosen matches, by their number among the candidates, with the one chosen before.
    chosen: Vec<(u32, u32)>,
    certain: Vec<Option<Match>>,
    paths: Vec<Path>,
    next: Vec<Path>,
    /// Ranks of the paths, with their places in the last 32 bits: best first once sorted.
    order: Vec<u128>,
}

impl Search {
    /// The matches of the best alignment found, in the order of the reference.
    pub(super) fn best(&mut self, candidates: &Candidates) -> Vec<Match> {
        let words = candidates.covered_candidate.len();
        let places = candidates.covered_reference.len();
        let left = words.div_ceil(64);
        let width = left + places.div_ceil(64);
        self.bits.clear();
        self.bits.resize(width, 0);
        self.chosen.clear();
        self.certain.clear();
        self.certain.extend((0..places).map(|place| candidates.certain(place)));
        for found in self.certain.iter().flatten() {
            set(&mut self.bits[..left], found.candidate);
            set(&mut self.bits[left..], found.reference);
        }
        self.next.clear();
        self.next.push(Path {
            covered: 0,
            chunks: 0,
            distance: 0,
            next: 0,
            last_end: NONE,
            chosen: NONE,
            used: 0,
            added: NONE,
        });
        for place in 0..places {
            std::mem::swap(&mut self.paths, &mut self.next);
            self.next.clear();
            self.sort_paths();
            for rank in 0..self.order.len() {
                let mut path = self.paths[place_of(self.order[rank])];
                self.write_down(&mut path, candidates, left, width);
                self.follow(path, place, candidates, left, width);
            }
            if self.next.is_empty() {
                // Cannot happen with matches as they are; METEOR goes on with the best path.
                self.next.extend(self.order.first().map(|rank| self.paths[place_of(*rank)]));
            }
        }
        std::mem::swap(&mut self.paths, &mut self.next);
        self.sort_paths();
        // The last chunk of each path is still open; of equally good ones the first wins.
        let closed = self.order.iter().zip(0_u32..).map(|(rank, at)| {
            let mut path = self.paths[place_of(*rank)];
            path.chunks += u32::from(path.last_end != NONE);
            (path.rank(at), path.chosen)
        });
        let best = closed.min_by_key(|(rank, _)| *rank);
        let mut found: Vec<Match> = self.certain.iter().flatten().copied().collect();
        let mut at = best.map_or(NONE, |(_, chosen)| chosen);
        while let Some((chosen, before)) = self.chosen.get(at as usize) {
            found.push(candidates.matches[*chosen as usize]);
            at = *before;
        }
        found.sort_unstable_by_key(|found| found.reference.0);
        found
    }

    /// Makes the set of words in use of a path that adds to one.
    fn write_down(&mut self, path: &mut Path, candidates: &Candidates, left: usize, width: usize) {
        let Some(found) = candidates.matches.get(path.added as usize) else { return };
        let (from, begin) = (path.used as usize * width, self.bits.len());
        self.bits.extend_from_within(from..from + width);
        set(&mut self.bits[begin..], found.candidate);
        set(&mut self.bits[begin + left..], found.reference);
        (path.used, path.added) = ((begin / width) as u32, NONE);
    }

    /// Adds to the next paths what can become of one at a word of the reference.
    fn follow(
        &mut self,
        mut path: Path,
        place: usize,
        candidates: &Candidates,
        left: usize,
        width: usize,
    ) {
        let begin = path.used as usize * width;
        let bits = &self.bits[begin..begin + width];
        if is_set(&bits[left..], place) {
            if (place as u32) < path.next {
                self.next.push(path);
            } else if let Some(found) = &self.certain[path.next as usize] {
                path.take(found);
                path.distance += found.reference.0.abs_diff(found.candidate.0);
                self.next.push(path);
            }
            return;
        }
        for (found, number) in candidates.at(place).iter().zip(candidates.begins[place]..) {
            if any_set(&bits[left..], found.reference) || any_set(bits, found.candidate) {
                continue;
            }
            let mut with = path;
            with.added = number;
            with.take(found);
            with.chosen = self.chosen.len() as u32;
            self.chosen.push((number, path.chosen));
            path.distance += found.reference.0.abs_diff(found.candidate.0);
            self.next.push(with);
        }
        // The word may also stay without a match.
        if path.last_end != NONE {
            path.last_end = NONE;
            path.chunks += 1;
        }
        path.next += 1;
        self.next.push(path);
    }

    /// Finds the best paths, best first; equally good ones stay in order.
    fn sort_paths(&mut self) {
        self.order.clear();
        self.order.extend(self.paths.iter().zip(0_u32..).map(|(path, at)| path.rank(at)));
        if self.order.len() > BEAM {
            self.order.select_nth_unstable(BEAM);
            self.order.truncate(BEAM);
        }
        self.order.sort_unstable();
    }
}

/// The place of a path, which stands at the end of its rank.
fn place_of(rank: u128) -> usize {
    rank as u32 as usize
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
