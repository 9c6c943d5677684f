//! Tensors on a device, and the ones among them that training changes.
//!
//! A frozen weight is a tensor without autodiff: it takes part in products as a constant, and the
//! framework keeps neither a gradient nor what a gradient would need. A trainable one is a leaf of
//! the autodiff graph. Which is which is decided by the values alone, so that the same modules
//! serve for inference, for adapter tuning and for training a base from nothing.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

/// Where tensors live and in which precision they are computed.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The device, without autodiff.
    pub device: Device,
    /// `F32` for use, `F64` for tests of exactness.
    pub dtype: DType,
}

impl Placement {
    /// Single precision on a device.
    pub fn float32(device: Device) -> Self {
        Self { device, dtype: DType::F32 }
    }

    /// Single precision on the CPU.
    pub fn cpu() -> Self {
        Self::float32(Device::flex())
    }

    /// Double precision on the CPU: slow, for tests of exactness.
    pub fn cpu_f64() -> Self {
        Self { device: Device::flex(), dtype: DType::F64 }
    }

    /// Whether what is there can be packed for this project's own kernels: single precision on the CPU.
    pub(crate) fn has_kernels(&self) -> bool {
        self.device == Device::flex() && self.dtype == DType::F32
    }

    /// A frozen tensor. The number of values must fit the shape.
    pub fn tensor<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values, shape);
        let data = if self.dtype == DType::F32 { data } else { data.convert_dtype(self.dtype) };
        Tensor::from_data(data, (&self.device, self.dtype))
    }
}

/// A tensor that may be trained; every such tensor is a vector or a matrix.
#[derive(Debug)]
pub enum Parameter<'a> {
    /// `[C]`: a bias or a norm's weight, which weight decay leaves alone.
    Vector(&'a mut Tensor<1>),
    /// `[out, in]`
    Matrix(&'a mut Tensor<2>),
}

impl Parameter<'_> {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Vector(tensor) => tensor.dims().to_vec(),
            Self::Matrix(tensor) => tensor.dims().to_vec(),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether weight decay applies to it: to matrices only.
    pub fn decays(&self) -> bool {
        matches!(self, Self::Matrix(_))
    }

    /// A copy of its values in row-major order.
    pub fn values(&self) -> Vec<f32> {
        match self {
            Self::Vector(tensor) => read((*tensor).clone()),
            Self::Matrix(tensor) => read((*tensor).clone()),
        }
    }

    /// Its gradient in row-major order; none when the loss does not depend on it.
    pub fn take_gradient(&self, gradients: &mut Gradients) -> Option<Vec<f32>> {
        match self {
            Self::Vector(tensor) => tensor.grad_remove(gradients).map(read),
            Self::Matrix(tensor) => tensor.grad_remove(gradients).map(read),
        }
    }

    /// Replaces its values by as many others; as a leaf to be trained if `trainable`.
    pub fn set(&mut self, values: Vec<f32>, trainable: bool) {
        match self {
            Self::Vector(tensor) => **tensor = replaced(tensor, values, trainable),
            Self::Matrix(tensor) => **tensor = replaced(tensor, values, trainable),
        }
    }

    /// Makes a leaf to be trained a new leaf with the same values, so that it belongs to no graph.
    pub fn renew(&mut self) {
        match self {
            Self::Vector(tensor) => **tensor = renewed(tensor),
            Self::Matrix(tensor) => **tensor = renewed(tensor),
        }
    }

    /// Makes it a leaf to be trained, or a constant.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.set(self.values(), trainable);
    }
}

/// Values of a tensor in row-major order, as `f32`.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.without_autodiff().into_data().convert_dtype(DType::F32);
    data.try_into_vec().unwrap_or_default()
}

fn replaced<const D: usize>(old: &Tensor<D>, values: Vec<f32>, trainable: bool) -> Tensor<D> {
    let place = Placement { device: old.device().without_autodiff(), dtype: old.dtype() };
    let new = place.tensor(values, old.dims());
    if trainable { new.autodiff().require_grad() } else { new }
}

fn renewed<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    let tensor = tensor.clone();
    if tensor.is_require_grad() {
        tensor.without_autodiff().autodiff().require_grad()
    } else {
        tensor
    }
}

/// A module with tensors that may be trained.
pub trait Trainable {
    /// Its parameters with their names, always in the same order.
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)>;

    /// Makes all of them leaves to be trained, or constants.
    fn set_trainable(&mut self, trainable: bool) {
        for (_, mut parameter) in self.parameters() {
            parameter.set_trainable(trainable);
        }
    }

    /// Gives a copy of the module leaves of its own, without copying values. Two threads must not
    /// build and walk graphs that share a leaf: the framework merges such graphs and takes its two
    /// locks for them in both orders, which can end in a deadlock.
    fn renew_leaves(&mut self) {
        for (_, mut parameter) in self.parameters() {
            parameter.renew();
        }
    }

    /// Number of values in all of them.
    fn parameter_count(&mut self) -> usize {
        self.parameters().iter().map(|(_, parameter)| parameter.len()).sum()
    }
}
