//! The container of DICOM: a file as a tree of elements (PS3.5 and PS3.10), and back.
//!
//! Elements keep the file's own bytes, borrowed, so that what nobody changes is written as it was,
//! whatever its character set. The reader trusts no header: it takes no memory on the word of a
//! length, refuses lengths beyond the end of what they lie in and items nested deeper than
//! [`LIMIT_DEPTH`], and inflates a deflated data set up to [`LIMIT_INFLATED`] bytes. What pixels
//! mean is the business of [`crate::image::dicom`].

mod element;
mod read;
mod syntax;
mod tags;
mod write;

pub(crate) use element::{DataSet, Element, Tag, Value, Vr};
pub(crate) use read::{File, inflate, looks_like_dicom, parse};
pub(crate) use syntax::{Codec, TransferSyntax};
pub(crate) use tags::*;
pub(crate) use write::write;

/// The deepest nesting of items that is read. The standard's own templates need about ten.
pub(crate) const LIMIT_DEPTH: usize = 32;

/// The most bytes a deflated data set may have, inflated: the largest picture of 16 bits, and room.
pub(crate) const LIMIT_INFLATED: usize = 1 << 29;
