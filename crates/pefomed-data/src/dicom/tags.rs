//! The tags that are looked at by name (PS3.6).

use super::Tag;

pub(crate) const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
pub(crate) const SOP_CLASS: Tag = Tag(0x0008, 0x0016);
pub(crate) const SOP_INSTANCE: Tag = Tag(0x0008, 0x0018);
pub(crate) const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
pub(crate) const MODALITY: Tag = Tag(0x0008, 0x0060);
pub(crate) const CONVERSION_TYPE: Tag = Tag(0x0008, 0x0064);
pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
pub(crate) const PATIENT_IDENTITY_REMOVED: Tag = Tag(0x0012, 0x0062);
pub(crate) const DEIDENTIFICATION_METHOD: Tag = Tag(0x0012, 0x0063);
pub(crate) const DEIDENTIFICATION_METHOD_CODES: Tag = Tag(0x0012, 0x0064);
pub(crate) const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
pub(crate) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
pub(crate) const PLANAR: Tag = Tag(0x0028, 0x0006);
pub(crate) const FRAMES: Tag = Tag(0x0028, 0x0008);
pub(crate) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(crate) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(crate) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(crate) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(crate) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(crate) const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
pub(crate) const PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
pub(crate) const PADDING_LIMIT: Tag = Tag(0x0028, 0x0121);
pub(crate) const BURNED_IN: Tag = Tag(0x0028, 0x0301);
pub(crate) const LONGITUDINAL: Tag = Tag(0x0028, 0x0303);
pub(crate) const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
pub(crate) const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
pub(crate) const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(crate) const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub(crate) const VOI_FUNCTION: Tag = Tag(0x0028, 0x1056);
pub(crate) const PALETTE_DESCRIPTORS: [Tag; 3] =
    [Tag(0x0028, 0x1101), Tag(0x0028, 0x1102), Tag(0x0028, 0x1103)];
pub(crate) const PALETTE_DATA: [Tag; 3] =
    [Tag(0x0028, 0x1201), Tag(0x0028, 0x1202), Tag(0x0028, 0x1203)];
pub(crate) const PALETTE_SEGMENTS: [Tag; 3] =
    [Tag(0x0028, 0x1221), Tag(0x0028, 0x1222), Tag(0x0028, 0x1223)];
pub(crate) const MODALITY_LUTS: Tag = Tag(0x0028, 0x3000);
pub(crate) const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
pub(crate) const LUT_DATA: Tag = Tag(0x0028, 0x3006);
pub(crate) const VOI_LUTS: Tag = Tag(0x0028, 0x3010);
pub(crate) const FRAME_VOI: Tag = Tag(0x0028, 0x9132);
pub(crate) const FRAME_TRANSFORMATION: Tag = Tag(0x0028, 0x9145);
pub(crate) const SHARED_GROUPS: Tag = Tag(0x5200, 0x9229);
pub(crate) const FRAME_GROUPS: Tag = Tag(0x5200, 0x9230);
pub(crate) const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
pub(crate) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
