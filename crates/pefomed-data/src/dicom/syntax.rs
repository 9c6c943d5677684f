//! Transfer syntaxes: byte order, headers, and how pixels are coded (PS3.5, annex A; PS3.6, annex A).

/// How pixel data is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Native,
    /// Run lengths (PS3.5, annex G).
    Rle,
    /// JPEG: sequential with 8 bits, or lossless (ITU-T T.81).
    Jpeg,
    /// JPEG-LS (ITU-T T.87).
    JpegLs,
    /// JPEG 2000 (ITU-T T.800).
    Jpeg2000,
    /// Something that is not read here.
    Other,
}

/// A transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferSyntax {
    pub(crate) uid: &'static str,
    pub(crate) name: &'static str,
    /// Whether elements name their value representation.
    pub(crate) explicit: bool,
    pub(crate) big_endian: bool,
    pub(crate) deflated: bool,
    pub(crate) codec: Codec,
}

const fn coded(uid: &'static str, name: &'static str, codec: Codec) -> TransferSyntax {
    TransferSyntax { uid, name, explicit: true, big_endian: false, deflated: false, codec }
}

/// All that are known by name.
const ALL: [TransferSyntax; 26] = [
    TransferSyntax {
        explicit: false,
        ..coded("1.2.840.10008.1.2", "Implicit VR Little Endian", Codec::Native)
    },
    coded("1.2.840.10008.1.2.1", "Explicit VR Little Endian", Codec::Native),
    TransferSyntax {
        deflated: true,
        ..coded("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", Codec::Native)
    },
    TransferSyntax {
        big_endian: true,
        ..coded("1.2.840.10008.1.2.2", "Explicit VR Big Endian", Codec::Native)
    },
    coded("1.2.840.10008.1.2.5", "RLE Lossless", Codec::Rle),
    coded("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", Codec::Jpeg),
    coded("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", Codec::Jpeg),
    coded("1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", Codec::Jpeg),
    coded("1.2.840.10008.1.2.4.70", "JPEG Lossless (Process 14, Selection Value 1)", Codec::Jpeg),
    coded("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Codec::JpegLs),
    coded("1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", Codec::JpegLs),
    coded("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Codec::Jpeg2000),
    coded("1.2.840.10008.1.2.4.91", "JPEG 2000", Codec::Jpeg2000),
    coded("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Lossless", Codec::Other),
    coded("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2", Codec::Other),
    coded("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", Codec::Other),
    coded("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", Codec::Other),
    coded("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile", Codec::Other),
    coded("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible", Codec::Other),
    coded("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile", Codec::Other),
    coded("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile", Codec::Other),
    coded("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Codec::Other),
    coded("1.2.840.10008.1.2.4.112", "JPEG XL", Codec::Other),
    coded("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless", Codec::Other),
    coded("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Lossless", Codec::Other),
    coded("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", Codec::Other),
];

impl TransferSyntax {
    pub(crate) const IMPLICIT: Self = ALL[0];
    pub(crate) const EXPLICIT: Self = ALL[1];

    /// The syntax with an identifier.
    pub(crate) fn of_uid(uid: &str) -> Option<Self> {
        ALL.into_iter().find(|syntax| syntax.uid == uid)
    }
}
