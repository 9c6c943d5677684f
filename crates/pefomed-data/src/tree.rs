//! Message trees: several questions about the same images, written once.
//!
//! A tree has a root that all its branches share (beginning of sequence, text before the image, the
//! image's visual tokens, and whatever the prompts have in common after it) and one branch for each
//! question with its answer. A single question, a caption or a report is a tree of one branch:
//! there is no second code path.
//!
//! Sharing never changes a token. Each text segment is tokenized as a whole, as it would be alone,
//! and only then does the root take the longest run of items that all prompts begin with. One
//! prompt item always stays in the branch, so that the position which predicts the first answer
//! token belongs to the branch and two branches with equal prompts can have different answers.
//!
//! The idea of training on trees of messages is Molmo's (arXiv 2409.17146); sharing a prefix
//! between rollouts is PrefixGrouper's (arXiv 2506.05433). What is added here is the contract that
//! loss and adapter gradients equal those of the questions run one by one.

/// One position of a sequence before embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A token of the vocabulary.
    Token(u32),
    /// One visual token of an image.
    Visual {
        /// Which image of the batch: an index the caller gives meaning to.
        image: u32,
        /// Which of its visual tokens.
        index: u32,
    },
}

/// A tokenized question with its answer, before it becomes a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names the example; it also keys the random numbers of dropout, so that they do not depend
    /// on where the example lands in a batch.
    pub key: u64,
    /// Prompt items, images included. Never empty.
    pub prompt: Vec<Item>,
    /// Answer tokens with the end token; empty when the answer is to be generated.
    pub answer: Vec<u32>,
}

impl Message {
    /// Prompt items followed by answer tokens.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }

    /// Whether there is neither prompt nor answer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One question of a tree: what the root does not hold of its prompt, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The key of its message.
    pub key: u64,
    /// The rest of the prompt; at least one item.
    pub prompt: Vec<Item>,
    /// Answer tokens with the end token.
    pub answer: Vec<u32>,
}

impl Branch {
    /// Positions this branch takes in a batch. The last answer token is a target only and takes
    /// none, since nothing is predicted from it.
    pub fn positions(&self) -> usize {
        self.prompt.len() + self.answer.len().saturating_sub(1)
    }
}

/// Questions that share a beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTree {
    /// Keys the random numbers of the root.
    pub key: u64,
    /// Items that all branches begin with; may be empty.
    pub root: Vec<Item>,
    /// At least one.
    pub branches: Vec<Branch>,
}

impl MessageTree {
    /// Builds a tree whose root is the longest beginning that all messages share, one item of each
    /// prompt excepted. Returns `None` when there is no message or a prompt is empty.
    pub fn new(messages: Vec<Message>) -> Option<Self> {
        let first = messages.first()?;
        let mut shared = first.prompt.len().checked_sub(1)?;
        for message in &messages[1..] {
            let limit = shared.min(message.prompt.len().checked_sub(1)?);
            shared = first.prompt[..limit]
                .iter()
                .zip(&message.prompt[..limit])
                .take_while(|(a, b)| a == b)
                .count();
        }
        let root = first.prompt[..shared].to_vec();
        let key = first.key;
        let branches = messages
            .into_iter()
            .map(|message| Branch {
                key: message.key,
                prompt: message.prompt[shared..].to_vec(),
                answer: message.answer,
            })
            .collect();
        Some(Self { key, root, branches })
    }

    /// The same questions, one tree each: what a run without sharing computes.
    pub fn split(&self) -> Vec<Self> {
        let whole = |branch: &Branch| Self {
            key: self.key,
            root: self.root.clone(),
            branches: vec![branch.clone()],
        };
        self.branches.iter().map(whole).collect()
    }

    /// Positions the tree takes in a batch.
    pub fn positions(&self) -> usize {
        self.root.len() + self.branches.iter().map(Branch::positions).sum::<usize>()
    }

    /// Positions that its questions would take one by one.
    pub fn positions_unshared(&self) -> usize {
        self.branches.iter().map(|branch| self.root.len() + branch.positions()).sum()
    }

    /// Tokens that the loss is taken over.
    pub fn targets(&self) -> usize {
        self.branches.iter().map(|branch| branch.answer.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: u64, prompt: &[u32], answer: &[u32]) -> Message {
        Message {
            key,
            prompt: prompt.iter().map(|&token| Item::Token(token)).collect(),
            answer: answer.to_vec(),
        }
    }

    #[test]
    fn the_root_takes_what_all_prompts_begin_with() {
        let tree = MessageTree::new(vec![
            message(1, &[5, 6, 7, 8], &[20, 2]),
            message(2, &[5, 6, 9], &[21, 22, 2]),
        ])
        .unwrap();
        assert_eq!(tree.root, [Item::Token(5), Item::Token(6)]);
        assert_eq!(tree.branches[0].prompt, [Item::Token(7), Item::Token(8)]);
        assert_eq!(tree.branches[1].prompt, [Item::Token(9)]);
        // 2 in the root, 2 + 1 and 1 + 2 in the branches.
        assert_eq!(tree.positions(), 8);
        assert_eq!(tree.positions_unshared(), 5 + 5);
        assert_eq!(tree.targets(), 5);
    }

    #[test]
    fn equal_prompts_keep_one_item_each() {
        let tree =
            MessageTree::new(vec![message(1, &[5, 6], &[7]), message(2, &[5, 6], &[8])]).unwrap();
        assert_eq!(tree.root, [Item::Token(5)]);
        assert_eq!(tree.branches[0].prompt, tree.branches[1].prompt);
    }

    #[test]
    fn nothing_can_be_made_of_an_empty_prompt() {
        assert_eq!(MessageTree::new(vec![]), None);
        assert_eq!(MessageTree::new(vec![message(1, &[], &[3])]), None);
        assert_eq!(MessageTree::new(vec![message(1, &[4, 5], &[3]), message(2, &[], &[3])]), None);
    }
}
