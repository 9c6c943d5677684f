//! The part of Python's pickle format that `torch.save` writes, read without running anything.
//!
//! A pickle is a program for a small stack machine, and two of its operations import and call
//! whatever the file names: that is how a weight file takes over a computer. Here the machine
//! builds data only. Six names are known, all of which describe tensors; any other name becomes an
//! [`Object::Opaque`] that keeps nothing but the name, whatever is called on it or put into it.
//! Optimizer states and configurations are full of such objects, and a reader of weights does not
//! need them.
//!
//! Text stays where it is in the file, and a value that is used many times is one object that is
//! referred to many times, so memory grows with the length of the pickle and not with what a
//! program of repeated references would print. Lengths, nesting and numbers of objects are limited
//! beside that. Containers may contain themselves; nothing here walks them.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use safetensors::Dtype;

use super::TorchFault;

/// Length of a pickle; a list of 100,000 tensors takes less than a third.
pub(super) const MOST_BYTES: usize = 64 << 20;
const MOST_OBJECTS: usize = 2 << 20;
const MOST_STACK: usize = 1 << 20;
const MOST_NESTING: usize = 256;
const MOST_MEMO: usize = 2 << 20;
const MOST_NAME: usize = 256;
/// PyTorch's own limit.
const MOST_DIMENSIONS: usize = 64;
const PROTOCOL: u8 = 2;

/// A value on the stack or in a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Integer(i64),
    /// An integer of more than 64 bits; no tensor has one.
    LargeInteger,
    Real(f64),
    Text(&'a str),
    /// Number of an object.
    Object(usize),
}

/// What values refer to.
#[derive(Debug)]
pub(super) enum Object<'a> {
    List(Vec<Value<'a>>),
    Tuple(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<View<'a>>),
    /// Something whose class is not known here, and which was not built.
    Opaque(Rc<str>),
}

/// The names that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Tensor,
    Parameter,
    Size,
    Storage(Dtype),
}

/// Values of one type in an entry of the archive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    /// Number of values.
    pub(super) values: u64,
}

/// A tensor: where its values lie in a storage, in numbers of values.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// What a pickle describes.
#[derive(Debug)]
pub(super) struct Unpickled<'a> {
    pub(super) root: Value<'a>,
    objects: Vec<Object<'a>>,
    /// Names of what was not built, sorted.
    pub(super) refused: BTreeSet<String>,
}

impl Unpickled<'_> {
    pub(super) fn object(&self, value: Value<'_>) -> Option<&Object<'_>> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    /// A value in words, for messages.
    pub(super) fn describe(&self, value: Value<'_>) -> String {
        describe(&self.objects, value)
    }
}

/// Reads a pickle of protocol 2.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Unpickled<'_>, TorchFault> {
    if bytes.len() > MOST_BYTES {
        return Err(TorchFault::PickleSize { bytes: bytes.len(), limit: MOST_BYTES });
    }
    let mut machine = Machine {
        bytes,
        at: 0,
        operation: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        objects: Vec::new(),
        refused: BTreeSet::new(),
    };
    let root = loop {
        if let Some(root) = machine.step()? {
            break root;
        }
    };
    let bytes = machine.bytes.len() - machine.at;
    if bytes > 0 {
        return Err(TorchFault::Trailing { bytes });
    }
    Ok(Unpickled { root, objects: machine.objects, refused: machine.refused })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the current operation begins.
    operation: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    objects: Vec<Object<'a>>,
    refused: BTreeSet<String>,
}

impl<'a> Machine<'a> {
    /// One operation; the root when it is the last.
    fn step(&mut self) -> Result<Option<Value<'a>>, TorchFault> {
        self.operation = self.at;
        let [code] = self.take("its operations")?;
        match code {
            0x80 => match self.take("the protocol")? {
                [PROTOCOL] => {}
                [version] => return Err(TorchFault::Protocol { version }),
            },
            b'.' => return self.pop().map(Some),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let integer = i32::from_le_bytes(self.take("an integer")?);
                self.push(Value::Integer(integer.into()))?;
            }
            b'K' => {
                let [integer] = self.take("an integer")?;
                self.push(Value::Integer(integer.into()))?;
            }
            b'M' => {
                let integer = u16::from_le_bytes(self.take("an integer")?);
                self.push(Value::Integer(integer.into()))?;
            }
            0x8a => {
                let [length] = self.take("an integer")?;
                let value = long(self.take_slice(length.into(), "an integer")?);
                self.push(value)?;
            }
            b'G' => {
                let real = f64::from_be_bytes(self.take("a real number")?);
                self.push(Value::Real(real))?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take("text")?);
                let text = self.take_slice(length as usize, "text")?;
                let text = self.utf8(text)?;
                self.push(Value::Text(text))?;
            }
            b'}' => self.push_object(Object::Dict(Vec::new()))?,
            b']' => self.push_object(Object::List(Vec::new()))?,
            b')' => self.push_object(Object::Tuple(Vec::new()))?,
            b'(' => {
                if self.marks.len() == MOST_NESTING {
                    return Err(self.limit("levels of nesting", MOST_NESTING));
                }
                self.marks.push(self.stack.len());
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_object(Object::Tuple(items))?;
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..code - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push_object(Object::Tuple(items))?;
            }
            b'q' => {
                let [index] = self.take("a reference")?;
                self.memorise(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.take("a reference")?);
                self.memorise(index)?;
            }
            b'h' => {
                let [index] = self.take("a reference")?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.take("a reference")?);
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let object = self.global(module, name);
                self.push_object(object)?;
            }
            b'Q' => self.storage()?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.set_state()?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            code => return Err(TorchFault::Operation { at: self.operation, code }),
        }
        Ok(None)
    }

    fn take<const N: usize>(&mut self, reading: &'static str) -> Result<[u8; N], TorchFault> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(TorchFault::Cut { reading });
        };
        self.at += N;
        Ok(*bytes)
    }

    fn take_slice(&mut self, length: usize, reading: &'static str) -> Result<&'a [u8], TorchFault> {
        let Some((bytes, _)) = self.bytes[self.at..].split_at_checked(length) else {
            return Err(TorchFault::Cut { reading });
        };
        self.at += length;
        Ok(bytes)
    }

    /// Bytes up to the end of the line.
    fn line(&mut self) -> Result<&'a str, TorchFault> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().take(MOST_NAME + 1).position(|&byte| byte == b'\n') else {
            return Err(if rest.len() > MOST_NAME {
                self.limit("bytes in the name of a class", MOST_NAME)
            } else {
                TorchFault::Cut { reading: "the name of a class" }
            });
        };
        self.at += length + 1;
        self.utf8(&rest[..length])
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, TorchFault> {
        std::str::from_utf8(bytes).map_err(|_| TorchFault::Utf8 { at: self.operation })
    }

    fn limit(&self, counted: &'static str, limit: usize) -> TorchFault {
        TorchFault::Limit { at: self.operation, counted, limit }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), TorchFault> {
        if self.stack.len() == MOST_STACK {
            return Err(self.limit("values at a time", MOST_STACK));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_object(&mut self, object: Object<'a>) -> Result<(), TorchFault> {
        if self.objects.len() == MOST_OBJECTS {
            return Err(self.limit("objects", MOST_OBJECTS));
        }
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    /// Takes the topmost value above the last mark.
    fn pop(&mut self) -> Result<Value<'a>, TorchFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(TorchFault::Missing { at: self.operation });
        }
        self.stack.pop().ok_or(TorchFault::Missing { at: self.operation })
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, TorchFault> {
        let mark = self.marks.pop().ok_or(TorchFault::Missing { at: self.operation })?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Value<'a>, TorchFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).and_then(<[_]>::last);
        above.copied().ok_or(TorchFault::Missing { at: self.operation })
    }

    fn memorise(&mut self, index: u32) -> Result<(), TorchFault> {
        let value = self.top()?;
        if self.memo.len() == MOST_MEMO {
            return Err(self.limit("references", MOST_MEMO));
        }
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), TorchFault> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or(TorchFault::Missing { at: self.operation })?)
    }

    /// A known name, or an opaque object that keeps the name.
    fn global(&mut self, module: &str, name: &str) -> Object<'a> {
        if let Some(known) = known(module, name) {
            return Object::Global(known);
        }
        // Names come from strangers and end up on a terminal.
        let full = format!("{}.{}", module.escape_debug(), name.escape_debug());
        self.refused.insert(full.clone());
        Object::Opaque(full.into())
    }

    fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    fn wrong_kind(&self, operation: &'static str, value: Value<'a>) -> TorchFault {
        let found = describe(&self.objects, value);
        TorchFault::Kind { at: self.operation, operation, found }
    }

    /// The class `value` is called with a tuple of arguments, or an object of it is made with them.
    fn call(&mut self) -> Result<(), TorchFault> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let global = match self.object(callee) {
            Some(Object::Global(global)) => *global,
            // What is called on the unknown is unknown.
            Some(Object::Opaque(name)) => {
                let object = Object::Opaque(name.clone());
                return self.push_object(object);
            }
            _ => return Err(self.wrong_kind("a call", callee)),
        };
        let Some(Object::Tuple(arguments)) = self.object(arguments) else {
            return Err(self.wrong_kind("a call with arguments", arguments));
        };
        let function = global.name();
        let wrong = TorchFault::Arguments { at: self.operation, function };
        let object = match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => Object::Dict(Vec::new()),
            (Global::Size, [sizes]) => Object::Tuple(self.sequence(*sizes).ok_or(wrong)?.to_vec()),
            // A flag for gradients and hooks follow; newer versions add metadata.
            (
                Global::Tensor,
                [storage, offset, shape, strides, _, _]
                | [storage, offset, shape, strides, _, _, _],
            ) => match self.object(*storage) {
                Some(Object::Storage(storage)) => {
                    let view = View {
                        storage: storage.clone(),
                        offset: natural(*offset).ok_or(wrong)?,
                        shape: self.naturals(*shape).ok_or_else(|| self.arguments(function))?,
                        strides: self.naturals(*strides).ok_or_else(|| self.arguments(function))?,
                    };
                    let dimensions = view.shape.len();
                    if dimensions != view.strides.len() || dimensions > MOST_DIMENSIONS {
                        return Err(self.arguments(function));
                    }
                    Object::Tensor(Box::new(view))
                }
                Some(Object::Opaque(name)) => Object::Opaque(name.clone()),
                _ => return Err(wrong),
            },
            (Global::Parameter, [tensor, _, _]) => match self.object(*tensor) {
                Some(Object::Tensor(_) | Object::Opaque(_)) => {
                    let tensor = *tensor;
                    return self.push(tensor);
                }
                _ => return Err(wrong),
            },
            _ => return Err(wrong),
        };
        self.push_object(object)
    }

    fn arguments(&self, function: &'static str) -> TorchFault {
        TorchFault::Arguments { at: self.operation, function }
    }

    fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value) {
            Some(Object::Tuple(items) | Object::List(items)) => Some(items),
            _ => None,
        }
    }

    fn naturals(&self, value: Value<'a>) -> Option<Vec<u64>> {
        self.sequence(value)?.iter().map(|&item| natural(item)).collect()
    }

    /// `("storage", class, key, device, number of values)` becomes the storage itself.
    fn storage(&mut self) -> Result<(), TorchFault> {
        const FUNCTION: &str = "persistent_load";
        let tuple = self.pop()?;
        let Some([Value::Text("storage"), class, Value::Text(key), Value::Text(_), values]) =
            self.sequence(tuple)
        else {
            return Err(self.arguments(FUNCTION));
        };
        let object = match self.object(*class) {
            Some(Object::Global(Global::Storage(dtype))) => {
                let values = natural(*values).ok_or_else(|| self.arguments(FUNCTION))?;
                Object::Storage(Storage { key, dtype: *dtype, values })
            }
            Some(Object::Opaque(name)) => Object::Opaque(name.clone()),
            _ => return Err(self.arguments(FUNCTION)),
        };
        self.push_object(object)
    }

    /// Attributes of an object. Those of a dictionary (`_metadata` of a `state_dict`) carry no
    /// tensor, and those of an opaque object are as unknown as itself.
    fn set_state(&mut self) -> Result<(), TorchFault> {
        self.pop()?;
        let target = self.top()?;
        match self.object(target) {
            Some(Object::Dict(_) | Object::Opaque(_)) => Ok(()),
            _ => Err(self.wrong_kind("setting attributes", target)),
        }
    }

    fn target(&mut self) -> Result<(Value<'a>, Option<&mut Object<'a>>), TorchFault> {
        let target = self.top()?;
        let object = match target {
            Value::Object(index) => self.objects.get_mut(index),
            _ => None,
        };
        Ok((target, object))
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), TorchFault> {
        match self.target()? {
            (_, Some(Object::List(list))) => list.extend(items),
            (_, Some(Object::Opaque(_))) => {}
            (target, _) => return Err(self.wrong_kind("adding to a list", target)),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value<'a>>) -> Result<(), TorchFault> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(TorchFault::Missing { at: self.operation });
        }
        match self.target()? {
            (_, Some(Object::Dict(dict))) => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            (_, Some(Object::Opaque(_))) => {}
            (target, _) => return Err(self.wrong_kind("adding to a dictionary", target)),
        }
        Ok(())
    }
}

impl Global {
    fn name(self) -> &'static str {
        match self {
            Self::OrderedDict => "collections.OrderedDict",
            Self::Tensor => "torch._utils._rebuild_tensor_v2",
            Self::Parameter => "torch._utils._rebuild_parameter",
            Self::Size => "torch.Size",
            Self::Storage(_) => "a class of storage",
        }
    }
}

fn known(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::Tensor,
        ("torch._utils", "_rebuild_parameter") => Global::Parameter,
        ("torch", "Size") => Global::Size,
        ("torch", class) => Global::Storage(match class {
            "DoubleStorage" => Dtype::F64,
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::BOOL,
            _ => return None,
        }),
        _ => return None,
    })
}

/// A little-endian integer in two's complement, as short as its writer could make it.
fn long(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::LargeInteger;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Integer(i64::from_le_bytes(whole))
}

fn natural(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(integer) => u64::try_from(integer).ok(),
        _ => None,
    }
}

fn describe(objects: &[Object<'_>], value: Value<'_>) -> String {
    let index = match value {
        Value::None => return "None".to_owned(),
        Value::Bool(_) => return "a truth value".to_owned(),
        Value::Integer(integer) => return format!("the integer {integer}"),
        Value::LargeInteger => return "a large integer".to_owned(),
        Value::Real(real) => return format!("the number {real}"),
        Value::Text(_) => return "text".to_owned(),
        Value::Object(index) => index,
    };
    match objects.get(index) {
        Some(Object::List(items)) => format!("a list of {}", items.len()),
        Some(Object::Tuple(items)) => format!("a tuple of {}", items.len()),
        Some(Object::Dict(items)) => format!("a dictionary of {}", items.len()),
        Some(Object::Global(global)) => format!("the name `{}`", global.name()),
        Some(Object::Storage(_)) => "a storage".to_owned(),
        Some(Object::Tensor(view)) => format!("a tensor of shape {:?}", view.shape),
        Some(Object::Opaque(name)) => {
            format!("an object of `{name}`, which is not built because that would run code")
        }
        None => "nothing".to_owned(),
    }
}
