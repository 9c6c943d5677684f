//! Loss and learning rate for TensorBoard, offline and without its library.
//!
//! An event file is a row of records (TensorFlow's TFRecord framing): the length as a little-endian
//! `u64`, a masked CRC-32C of these eight bytes, the bytes of one protocol buffer `Event`, and a
//! masked CRC-32C of them. The few fields that a scalar needs are encoded here by hand.
//!
//! TensorBoard would show steps twice if a resumed run appended to what the dead one had written.
//! So the file is written anew at a resume, from the log that was cut back to the checkpoint.
//! Wall times are the only thing in a run folder that a rerun does not repeat.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pefomed_data::DataError;

use crate::TrainError;
use crate::events::{Event, Observer};

/// Writes `loss/<stage>` and `learning_rate/<stage>` to an event file.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Starts an event file in `folder`, which takes the place of those that lie there, and begins
    /// with the steps of `history`: nothing for a new run, the log for a resumed one.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn create(folder: &Path, history: &[Event]) -> Result<Self, TrainError> {
        let failed = |source| DataError::Write { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with("events.out.tfevents.") {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        let now = seconds_since_1970();
        let path = folder.join(format!("events.out.tfevents.{:010}.pefomed", now as u64));
        let file = File::create(&path)
            .map_err(|source| DataError::Write { path: path.clone(), source })?;
        let mut board = Self { path, file };

        // The past is dated back by the seconds that its steps took.
        let mut time = now - history.iter().map(seconds).sum::<f64>();
        board.write(&version_event(time))?;
        for event in history {
            time += seconds(event);
            board.write_step(event, time)?;
        }
        Ok(board)
    }

    fn write_step(&mut self, event: &Event, time: f64) -> Result<(), TrainError> {
        let Event::Step { stage, step, loss, learning_rate, .. } = event else { return Ok(()) };
        let scalars = [
            (format!("loss/{stage}"), *loss as f32),
            (format!("learning_rate/{stage}"), *learning_rate as f32),
        ];
        self.write(&scalar_event(time, *step as u64, &scalars))
    }

    fn write(&mut self, event: &[u8]) -> Result<(), TrainError> {
        write_record(&mut self.file, event)
            .map_err(|source| DataError::Write { path: self.path.clone(), source })?;
        Ok(())
    }
}

impl Observer for TensorBoard {
    fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        self.write_step(event, seconds_since_1970())
    }
}

fn seconds(event: &Event) -> f64 {
    match event {
        Event::Step { seconds, .. } if seconds.is_finite() => *seconds,
        _ => 0.0,
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// One record in a single write, so that a killed run leaves no half of one in a buffer.
fn write_record(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(crc32c(&length)).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked(crc32c(data)).to_le_bytes());
    out.write_all(&record)
}

/// `Event { wall_time = 1, file_version = 3 }`: what a file must begin with.
fn version_event(time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, time);
    put_bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time = 1, step = 2, summary = 5 }` with
/// `Summary { repeated value = 1 }` and `Value { tag = 1, simple_value = 2 }`.
fn scalar_event(time: f64, step: u64, scalars: &[(String, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        put_float(&mut value, 2, *number);
        put_bytes(&mut summary, 1, &value);
    }
    let mut event = Vec::new();
    put_double(&mut event, 1, time);
    put_tag(&mut event, 2, 0);
    put_varint(&mut event, step);
    put_bytes(&mut event, 5, &summary);
    event
}

/// Field number and wire type: 0 a varint, 1 eight bytes, 2 bytes with their length, 5 four bytes.
fn put_tag(out: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(out, field << 3 | wire);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_double(out: &mut Vec<u8>, field: u64, number: f64) {
    put_tag(out, field, 1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_float(out: &mut Vec<u8>, field: u64, number: f32) {
    put_tag(out, field, 5);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_tag(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A checksum of data that may itself hold checksums is masked, as the TFRecord format says:
/// rotated right by 15 bits, plus a constant.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit-reflected, as in RFC 3720.
fn crc32c(data: &[u8]) -> u32 {
    let crc = data.iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    });
    !crc
}

/// The remainder of every byte.
static CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the check value of the Castagnoli polynomial.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(&falling), 0x113f_db5c);
    }

    /// The checksum bit by bit, as long division, to read records back without the table.
    fn crc_by_division(data: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in data {
            for bit in 0..8 {
                let top = (crc ^ u32::from(byte >> bit)) & 1;
                crc = (crc >> 1) ^ (top * 0x82f6_3b78);
            }
        }
        !crc
    }

    fn unmasked(word: [u8; 4]) -> u32 {
        let rotated = u32::from_le_bytes(word).wrapping_sub(0xa282_ead8);
        rotated.rotate_left(15)
    }

    /// Records of a file, with both checksums verified.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(unmasked(bytes[8..12].try_into().unwrap()), crc_by_division(&bytes[..8]));
            let data = &bytes[12..12 + length];
            let crc = bytes[12 + length..16 + length].try_into().unwrap();
            assert_eq!(unmasked(crc), crc_by_division(data));
            records.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        records
    }

    /// Any protocol buffer as (field, raw bytes of its value).
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut number = 0;
            for shift in (0..64).step_by(7) {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                number |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            number
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let length = match tag & 7 {
                0 => {
                    found.push((tag >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            found.push((tag >> 3, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    /// (step, [(tag, value)]) of every record after the first.
    fn scalars(folder: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), 1);
        let records = records(&fs::read(files[0].path()).unwrap());
        let version = fields(&records[0]);
        assert_eq!(version[1], (3, b"brain.Event:2".to_vec()));
        let read = |record: &Vec<u8>| {
            let event = fields(record);
            assert_eq!(event.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [1, 2, 5]);
            let time = f64::from_le_bytes(event[0].1.clone().try_into().unwrap());
            assert!(time > 1.7e9, "wall time {time}");
            let step = u64::from_le_bytes(event[1].1.clone().try_into().unwrap());
            let values = fields(&event[2].1)
                .iter()
                .map(|(field, value)| {
                    assert_eq!(*field, 1);
                    let value = fields(value);
                    let number = f32::from_le_bytes(value[1].1.clone().try_into().unwrap());
                    (String::from_utf8(value[0].1.clone()).unwrap(), number)
                })
                .collect();
            (step, values)
        };
        records[1..].iter().map(read).collect()
    }

    fn step(step: usize) -> Event {
        Event::Step {
            stage: "vqa".to_owned(),
            step,
            steps: 500,
            loss: 2.0 / step as f64,
            learning_rate: 1e-3,
            tokens: 10,
            questions: 1,
            seconds: 0.25,
        }
    }

    #[test]
    fn scalars_read_back_with_an_independent_parser() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(folder.path(), &[]).unwrap();
        // 300 needs two bytes as a varint.
        for event in [step(1), Event::Note { text: "ignored".to_owned() }, step(300)] {
            board.event(&event).unwrap();
        }
        let expected = |step: u64, loss: f32| {
            let rate = ("learning_rate/vqa".to_owned(), 1e-3_f32);
            (step, vec![("loss/vqa".to_owned(), loss), rate])
        };
        assert_eq!(scalars(folder.path()), [expected(1, 2.0), expected(300, 2.0 / 300.0)]);
    }

    #[test]
    fn a_resumed_run_shows_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = TensorBoard::create(folder.path(), &[]).unwrap();
        for number in 1..=4 {
            first.event(&step(number)).unwrap();
        }
        let mut second = TensorBoard::create(folder.path(), &[step(1), step(2)]).unwrap();
        second.event(&step(3)).unwrap();
        let steps: Vec<u64> = scalars(folder.path()).into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [1, 2, 3]);
    }
}
