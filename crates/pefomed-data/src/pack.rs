//! Packed batches: message trees laid end to end in one sequence.
//!
//! What attention may look at is written as ranges, never as a square mask: a position sees the
//! earlier positions of its own branch and the whole of its tree's root (a root position: the
//! earlier part of the root). Position ids restart in each branch where the root ended, so each
//! question keeps the rotary phases it would have alone.

use std::ops::Range;

use crate::tree::{Item, MessageTree};

/// Where one tree lies in a packed sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeSpan {
    /// Keys the random numbers of the root.
    pub key: u64,
    /// Positions of the root; may be empty.
    pub root: Range<usize>,
    /// Positions of the branches, in order, each directly after the one before.
    pub branches: Vec<BranchSpan>,
}

impl TreeSpan {
    /// From the first position of the root to the last of the last branch.
    pub fn whole(&self) -> Range<usize> {
        let end = self.branches.last().map_or(self.root.end, |branch| branch.range.end);
        self.root.start..end
    }
}

/// Where one branch lies in a packed sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchSpan {
    /// The key of its message.
    pub key: u64,
    /// Its positions: the rest of the prompt, then the answer without its last token.
    pub range: Range<usize>,
}

/// A position whose next token is known: the loss is the mean over these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The position that predicts.
    pub position: usize,
    /// The token it should predict.
    pub token: u32,
}

/// Several trees in one sequence; `T` below is its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedBatch {
    /// `[T]` token or visual token of each position.
    pub items: Vec<Item>,
    /// `[T]` position ids for the rotary embedding.
    pub positions: Vec<u32>,
    /// The layout, in the order of the sequence.
    pub trees: Vec<TreeSpan>,
    /// The answer tokens, in the order of their positions.
    pub targets: Vec<Target>,
}

impl PackedBatch {
    /// Lays trees end to end.
    pub fn new<'a>(trees: impl IntoIterator<Item = &'a MessageTree>) -> Self {
        let mut batch = Self::default();
        for tree in trees {
            batch.push(tree);
        }
        batch
    }

    fn push(&mut self, tree: &MessageTree) {
        let start = self.items.len();
        self.items.extend_from_slice(&tree.root);
        self.positions.extend(0..tree.root.len() as u32);
        let root = start..self.items.len();
        let mut branches = Vec::with_capacity(tree.branches.len());
        for branch in &tree.branches {
            let start = self.items.len();
            self.items.extend_from_slice(&branch.prompt);
            let predictors = self.items.len() - 1..;
            let fed = &branch.answer[..branch.answer.len().saturating_sub(1)];
            self.items.extend(fed.iter().map(|&token| Item::Token(token)));
            self.targets.extend(
                predictors.zip(&branch.answer).map(|(position, &token)| Target { position, token }),
            );
            let length = (self.items.len() - start) as u32;
            let first = tree.root.len() as u32;
            self.positions.extend(first..first + length);
            branches.push(BranchSpan { key: branch.key, range: start..self.items.len() });
        }
        self.trees.push(TreeSpan { key: tree.key, root, branches });
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no position.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The images the batch refers to, each once, in the order they first occur.
    pub fn images(&self) -> Vec<u32> {
        images(&self.items)
    }
}

/// The images that some items are of, each once, in the order they first occur.
pub fn images(items: &[Item]) -> Vec<u32> {
    let mut images = Vec::new();
    for item in items {
        if let Item::Visual { image, .. } = *item
            && !images.contains(&image)
        {
            images.push(image);
        }
    }
    images
}

/// Puts trees, in the order given, into batches of at most `budget` positions. A tree larger than
/// the budget gets a batch of its own: nothing is cut and nothing is left out.
pub fn group_by_budget(positions: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut filled) = (0, 0);
    for (index, &size) in positions.iter().enumerate() {
        if index > start && filled + size > budget {
            groups.push(start..index);
            (start, filled) = (index, 0);
        }
        filled += size;
    }
    if start < positions.len() {
        groups.push(start..positions.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Message;

    fn tree() -> MessageTree {
        let visual = |index| Item::Visual { image: 3, index };
        let message = |key, question: &[u32], answer: &[u32]| {
            let mut prompt = vec![Item::Token(1), visual(0), visual(1)];
            prompt.extend(question.iter().map(|&token| Item::Token(token)));
            Message { key, prompt, answer: answer.to_vec() }
        };
        MessageTree::new(vec![message(10, &[7, 8], &[20, 2]), message(11, &[9], &[21, 22, 2])])
            .unwrap()
    }

    #[test]
    fn positions_restart_in_each_branch_and_targets_follow_their_predictors() {
        let batch = PackedBatch::new([&tree(), &tree()]);
        assert_eq!(batch.len(), 18);
        assert_eq!(batch.positions[..9], [0, 1, 2, 3, 4, 5, 3, 4, 5]);
        assert_eq!(batch.trees[1].root, 9..12);
        assert_eq!(batch.trees[1].branches[1].range, 15..18);
        assert_eq!(batch.trees[1].whole(), 9..18);
        let targets: Vec<_> = batch.targets.iter().map(|t| (t.position, t.token)).collect();
        assert_eq!(targets[..5], [(4, 20), (5, 2), (6, 21), (7, 22), (8, 2)]);
        // The token after a predictor inside a branch is the one it should predict.
        assert_eq!(batch.items[5], Item::Token(20));
        assert_eq!(batch.items[7], Item::Token(21));
        assert_eq!(batch.images(), [3]);
    }

    #[test]
    fn a_question_to_be_answered_takes_only_its_prompt() {
        let mut open = tree();
        for branch in &mut open.branches {
            branch.answer.clear();
        }
        let batch = PackedBatch::new([&open]);
        assert_eq!(batch.len(), 3 + 2 + 1);
        assert!(batch.targets.is_empty());
    }

    #[test]
    fn groups_keep_order_and_everything() {
        assert_eq!(group_by_budget(&[3, 3, 3, 9, 1], 6), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(group_by_budget(&[], 6), Vec::<Range<usize>>::new());
        assert_eq!(group_by_budget(&[9], 6).len(), 1);
    }
}
