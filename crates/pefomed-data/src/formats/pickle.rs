//! The part of Python's pickle that is data: lists, dictionaries, texts and numbers.
//!
//! A pickle is a program for a stack machine, and some of its instructions call any function of the
//! reader's Python. The published question files need none of those; they are refused here, whatever
//! they would call. What is left cannot do more than build a value, and that within limits.

use serde_json::{Map, Number, Value};

/// Values on the stack, nesting of lists, and bytes of texts that are used again.
const LIMIT_STACK: usize = 1 << 20;
const LIMIT_DEPTH: usize = 32;
const LIMIT_REUSED: usize = 256 << 20;

/// A value and how deeply it is nested.
struct Item {
    value: Value,
    depth: usize,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Item>,
    marks: Vec<usize>,
    /// Texts to be used again; other values are not shared in data.
    memo: std::collections::BTreeMap<usize, Option<String>>,
    memoized: usize,
    reused: usize,
}

/// Reads a pickle of plain data.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: std::collections::BTreeMap::new(),
        memoized: 0,
        reused: 0,
    };
    loop {
        if machine.step()? {
            return machine.pop().map(|item| item.value);
        }
    }
}

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err("it is cut short".to_owned()) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, String> {
        let taken = self.take(bytes)?;
        let number = taken.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| "a length is beyond all bounds".to_owned())
    }

    fn line(&mut self) -> Result<&str, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Err("it is cut short".to_owned());
        };
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "a number is no text".to_owned())
    }

    fn push(&mut self, value: Value, depth: usize) -> Result<(), String> {
        if self.stack.len() >= LIMIT_STACK || depth > LIMIT_DEPTH {
            return Err("it is nested or piled up beyond all bounds".to_owned());
        }
        self.stack.push(Item { value, depth });
        Ok(())
    }

    fn pop(&mut self) -> Result<Item, String> {
        self.stack.pop().ok_or_else(|| "it takes a value where there is none".to_owned())
    }

    /// The values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Item>, String> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err("it goes back to a mark that is not there".to_owned()),
        }
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| "a text in it is not UTF-8".to_owned())?
            .to_owned();
        self.push(Value::String(text), 0)
    }

    fn keep(&mut self, place: usize) -> Result<(), String> {
        let text = match self.stack.last().map(|item| &item.value) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => None,
            None => return Err("it keeps a value where there is none".to_owned()),
        };
        self.repeat(text.as_ref().map_or(0, String::len))?;
        self.memo.insert(place, text);
        Ok(())
    }

    /// Counts bytes of a text that is kept or used again, each time anew.
    fn repeat(&mut self, bytes: usize) -> Result<(), String> {
        self.reused += bytes;
        if self.reused > LIMIT_REUSED {
            return Err("it repeats its texts beyond all bounds".to_owned());
        }
        Ok(())
    }

    fn get(&mut self, place: usize) -> Result<(), String> {
        let Some(Some(text)) = self.memo.get(&place).cloned() else {
            return Err("it uses a value again that is no text".to_owned());
        };
        self.repeat(text.len())?;
        self.push(Value::String(text), 0)
    }

    fn list(&mut self, items: Vec<Item>) -> Result<(), String> {
        let depth = items.iter().map(|item| item.depth).max().unwrap_or(0) + 1;
        self.push(Value::Array(items.into_iter().map(|item| item.value).collect()), depth)
    }

    /// Adds values to the list, or keys and values to the dictionary, on top of the stack.
    fn extend(&mut self, items: Vec<Item>) -> Result<(), String> {
        let deepest = items.iter().map(|item| item.depth).max().unwrap_or(0) + 1;
        let Some(top) = self.stack.last_mut() else {
            return Err("it adds to a value where there is none".to_owned());
        };
        top.depth = top.depth.max(deepest);
        if top.depth > LIMIT_DEPTH {
            return Err("it is nested beyond all bounds".to_owned());
        }
        match &mut top.value {
            Value::Array(list) => list.extend(items.into_iter().map(|item| item.value)),
            Value::Object(fields) => {
                let mut items = items.into_iter().map(|item| item.value);
                while let Some(key) = items.next() {
                    let key = match key {
                        Value::String(text) => text,
                        Value::Number(number) => number.to_string(),
                        _ => return Err("a key in it is neither text nor number".to_owned()),
                    };
                    let Some(value) = items.next() else {
                        return Err("a key in it has no value".to_owned());
                    };
                    fields.insert(key, value);
                }
            }
            _ => return Err("it adds to a value that is no list".to_owned()),
        }
        Ok(())
    }

    /// Follows one instruction; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(true),
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => {
                if self.marks.len() >= LIMIT_STACK {
                    return Err("it is nested beyond all bounds".to_owned());
                }
                self.marks.push(self.stack.len());
            }
            b']' | b')' => self.push(Value::Array(Vec::new()), 1)?,
            b'}' => self.push(Value::Object(Map::new()), 1)?,
            b'l' | b't' => {
                let items = self.since_mark()?;
                self.list(items)?;
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.list(items)?;
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Value::Object(Map::new()), 1)?;
                self.extend(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend(vec![key, value])?;
            }
            b'e' | b'u' => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b'q' => {
                let place = self.number(1)?;
                self.keep(place)?;
            }
            b'r' => {
                let place = self.number(4)?;
                self.keep(place)?;
            }
            0x94 => {
                self.keep(self.memoized)?;
                self.memoized += 1;
            }
            b'h' => {
                let place = self.number(1)?;
                self.get(place)?;
            }
            b'j' => {
                let place = self.number(4)?;
                self.get(place)?;
            }
            b'X' | b'T' => {
                let length = self.number(4)?;
                self.text(length)?;
            }
            0x8c | b'U' => {
                let length = self.number(1)?;
                self.text(length)?;
            }
            0x8d => {
                let length = self.number(8)?;
                self.text(length)?;
            }
            b'N' => self.push(Value::Null, 0)?,
            0x88 => self.push(Value::Bool(true), 0)?,
            0x89 => self.push(Value::Bool(false), 0)?,
            b'K' => {
                let number = self.number(1)?;
                self.push(Value::from(number), 0)?;
            }
            b'M' => {
                let number = self.number(2)?;
                self.push(Value::from(number), 0)?;
            }
            b'J' => {
                let number = self.number(4)? as u32;
                self.push(Value::from(number as i32), 0)?;
            }
            b'I' => {
                let number = self.line()?.trim().parse::<i64>();
                let number = number.map_err(|_| "a number in it is none".to_owned())?;
                self.push(Value::from(number), 0)?;
            }
            b'G' => {
                let mut number = [0; 8];
                number.copy_from_slice(self.take(8)?);
                let number = Number::from_f64(f64::from_be_bytes(number));
                self.push(number.map_or(Value::Null, Value::Number), 0)?;
            }
            other => {
                return Err(format!(
                    "its instruction 0x{other:02X} at byte {} builds more than lists, dictionaries, \
                     texts and numbers",
                    self.at - 1
                ));
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What CPython 3.11 writes for `[{'image': 'a', 'answer': 2, 'n': -1, 'f': 0.5}]`.
    const PROTOCOL_4: &[u8] =
        b"\x80\x04\x955\x00\x00\x00\x00\x00\x00\x00]\x94}\x94(\x8c\x05image\x94\
        \x8c\x01a\x94\x8c\x06answer\x94K\x02\x8c\x01n\x94J\xff\xff\xff\xff\x8c\x01f\x94G?\xe0\x00\
        \x00\x00\x00\x00\x00ua.";

    #[test]
    fn data_is_read_and_code_is_refused() {
        let value = read(PROTOCOL_4).unwrap();
        assert_eq!(value, json!([{"image": "a", "answer": 2, "n": -1, "f": 0.5}]));
        // os.system('true'), as the textbook has it.
        let error = read(b"cos\nsystem\n(S'true'\ntR.").unwrap_err();
        assert!(error.contains("instruction 0x63 at byte 0"), "{error}");
        let nested: Vec<u8> = [vec![b']'; 100], vec![b'a'; 99], vec![b'.']].concat();
        assert!(read(&nested).unwrap_err().contains("nested"));
        assert!(read(b"\x80\x04").unwrap_err().contains("cut short"));
    }

    #[test]
    fn a_text_that_is_kept_again_and_again_takes_no_memory_beyond_bounds() {
        // Sixteen megabytes, kept under 256 numbers: four gigabytes.
        let mut bytes = b"X\x00\x00\x00\x01".to_vec();
        bytes.resize(bytes.len() + (16 << 20), b'a');
        for place in 0..=255 {
            bytes.extend([b'q', place]);
        }
        bytes.push(b'.');
        assert!(read(&bytes).unwrap_err().contains("repeats its texts"));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 256, failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn no_bytes_make_it_panic(place in 0..PROTOCOL_4.len(), byte: u8, other: Vec<u8>) {
            let mut bytes = PROTOCOL_4.to_vec();
            bytes[place] = byte;
            let _ = read(&bytes);
            let _ = read(&other);
        }
    }
}
