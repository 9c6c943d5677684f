//! The ways in which a file of `torch.save` can be wrong or unfit, one variant each.

use zip::result::ZipError;

/// What is wrong with a file that `torch.save` should have written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchFault {
    /// Not an archive, or a damaged one.
    #[error("it is not a readable archive ({0}); fetch it again")]
    Archive(#[from] ZipError),
    /// A pickle without the archive around it, as PyTorch wrote before version 1.6.
    #[error(
        "it is in the format of PyTorch before 1.6; load it with a newer one and save it again"
    )]
    Legacy,
    /// Two entries of the archive share a name or bytes.
    #[error("entries of its archive share names or bytes; do not use weights from this source")]
    Overlap,
    /// An archive without a list of tensors.
    #[error("its archive holds no `NAME/data.pkl`, so `torch.save` did not write it")]
    NoPickle,
    /// More than one list of tensors.
    #[error("its archive holds more than one `data.pkl`; do not use weights from this source")]
    TwoPickles,
    /// A compressed or encrypted entry, which `torch.save` never writes.
    #[error(
        "entry `{entry}` of its archive is compressed or encrypted, and tensors are read in \
         place; load it with PyTorch and save it again"
    )]
    Packed {
        /// The entry.
        entry: String,
    },
    /// Written on a big-endian machine.
    #[error("it was written on a big-endian machine; only little-endian files are supported")]
    BigEndian,
    /// The list of tensors is longer than any model's.
    #[error("its list of tensors takes {bytes} bytes, more than the limit of {limit}")]
    PickleSize {
        /// Its size.
        bytes: usize,
        /// The largest that is read.
        limit: usize,
    },
    /// The pickle ends in the middle of something.
    #[error("its pickle ends in the middle of {reading}; fetch it again")]
    Cut {
        /// What was being read.
        reading: &'static str,
    },
    /// Bytes after the end of the pickle.
    #[error("{bytes} bytes follow the end of its pickle; do not use weights from this source")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Another protocol than the one `torch.save` uses by itself.
    #[error("it was saved with pickle protocol {version}; save it again with PyTorch's default, 2")]
    Protocol {
        /// The number in the file.
        version: u8,
    },
    /// An operation that `torch.save` does not write.
    #[error("byte {at} of its pickle: operation 0x{code:02x} is not one that `torch.save` writes")]
    Operation {
        /// Position in the pickle.
        at: usize,
        /// The operation.
        code: u8,
    },
    /// More of something than any checkpoint has.
    #[error("byte {at} of its pickle: more than {limit} {counted}")]
    Limit {
        /// Position in the pickle.
        at: usize,
        /// What is counted.
        counted: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// An operation takes more than there is.
    #[error("byte {at} of its pickle: an operation takes a value that is not there")]
    Missing {
        /// Position in the pickle.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("byte {at} of its pickle: text is not valid UTF-8")]
    Utf8 {
        /// Position in the pickle.
        at: usize,
    },
    /// An operation on a value of the wrong kind.
    #[error("byte {at} of its pickle: {operation} cannot act on {found}")]
    Kind {
        /// Position in the pickle.
        at: usize,
        /// What was to be done.
        operation: &'static str,
        /// What it was to be done with.
        found: String,
    },
    /// A function of PyTorch's is called with arguments it does not take.
    #[error("byte {at} of its pickle: `{function}` is not called as PyTorch calls it")]
    Arguments {
        /// Position in the pickle.
        at: usize,
        /// The function.
        function: &'static str,
    },
    /// The file holds no dictionary of tensors where one is looked for.
    #[error(
        "it holds no tensors by name, but {found}; save `model.state_dict()`, alone or under the \
         key `model`"
    )]
    NoTensors {
        /// What it holds instead.
        found: String,
    },
    /// More than one dictionary could be the model's.
    #[error("it holds several models: {}; save only one of them", names.join(", "))]
    SeveralModels {
        /// The keys.
        names: Vec<String>,
    },
    /// A key of the tensors' dictionary is no text.
    #[error("a key of its tensors is {found} and not text")]
    Key {
        /// What it is.
        found: String,
    },
    /// A name occurs twice.
    #[error("tensor `{tensor}` occurs twice")]
    Twice {
        /// The tensor.
        tensor: String,
    },
    /// Something among the tensors is none.
    #[error("`{tensor}` among its tensors is {found} and no tensor that can be read")]
    NoTensor {
        /// The key.
        tensor: String,
        /// What it is.
        found: String,
    },
    /// A tensor refers to values that the archive does not hold.
    #[error("tensor `{tensor}` lies in storage `{key}`, which the archive does not hold")]
    NoStorage {
        /// The tensor.
        tensor: String,
        /// The name of the storage.
        key: String,
    },
    /// A storage has another size than the pickle says.
    #[error(
        "tensor `{tensor}` lies in storage `{key}` of {expected} bytes, but it has {found} bytes; \
         fetch the file again"
    )]
    StorageSize {
        /// The tensor.
        tensor: String,
        /// The name of the storage.
        key: String,
        /// The size by the pickle.
        expected: u64,
        /// The size in the archive.
        found: usize,
    },
    /// Shape and strides reach beyond the storage, or are no numbers that a tensor can have.
    #[error("tensor `{tensor}` reaches beyond the storage `{key}` it lies in")]
    Outside {
        /// The tensor.
        tensor: String,
        /// The name of the storage.
        key: String,
    },
    /// A tensor that shows one stored value in several places.
    #[error(
        "tensor `{tensor}` has more values than its storage (an expanded view); save \
         `tensor.contiguous()` instead"
    )]
    Expanded {
        /// The tensor.
        tensor: String,
    },
}
