//! JPEG frames. Whether three components are luminance and colour differences is said in three places
//! that often disagree: an Adobe marker or component names in the stream win, then a JFIF marker, then the
//! file's own attribute. So the samples are taken as they were coded.

use super::super::jpeg::{Colours, Head, Picture};
use super::Trouble;
use super::codec::{check_size, complete};
use super::layout::{Layout, Photometric};

/// The samples of a frame, `[rows, columns, samples]`, and what they mean.
pub(super) fn samples(data: &[u8], layout: &Layout) -> Result<(Vec<f32>, Photometric), Trouble> {
    let head = Head::of(data)?;
    check_size(layout, head.columns.into(), head.rows.into(), head.planes())?;
    let photometric = match head.stated_colours() {
        _ if head.planes() != 3 || head.is_lossless() => layout.photometric,
        Some(Colours::Rgb) => Photometric::Rgb,
        Some(_) => Photometric::Ybr,
        None => layout.photometric,
    };
    let samples = Picture::decode(head, data)?.samples();
    let cells = samples.into_iter().map(|sample| layout.low_bits(sample.into())).collect();
    Ok((complete(cells, layout)?, photometric))
}
