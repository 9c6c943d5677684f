//! Functions of whole blocks, computed on the processor from slices, with their own derivative.
//!
//! The framework's operations are small: a decoder layer made of them writes and reads its
//! activations some forty times, and keeps most of them for the backward pass. A [`HostFunction`] is
//! one node of the framework's graph instead. It takes float32 slices, returns its output and
//! whatever it wants to keep, and is later given the gradient of the output.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor,
    DispatchTensorKind, ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{Tensor, TensorData};

/// What a function keeps from its forward pass.
pub type Kept = Arc<dyn Any + Send + Sync>;

/// A differentiable function from float32 tensors to one matrix.
pub trait HostFunction: fmt::Debug + Send + Sync + 'static {
    /// Shape of the output for inputs of these shapes.
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2];

    /// The output, row by row, and what [`backward`](Self::backward) needs; with `keep` false,
    /// nothing will be asked for.
    fn forward(&self, inputs: &[&[f32]], keep: bool) -> (Vec<f32>, Kept);

    /// Gradients of the inputs for the gradient of the output. Those that are not `wanted` may be
    /// left empty.
    fn backward(
        &self,
        inputs: &[&[f32]],
        kept: &Kept,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Vec<f32>>;
}

/// Applies a function to contiguous float32 tensors on the processor.
///
/// # Panics
/// On another device or another type of numbers, with no input or more than fifteen.
pub fn apply<const D: usize>(
    function: Arc<dyn HostFunction>,
    first: Tensor<D>,
    others: Vec<Tensor<2>>,
) -> Tensor<2> {
    let mut inputs = vec![first.into_dispatch()];
    inputs.extend(others.into_iter().map(Tensor::into_dispatch));
    Tensor::from_dispatch(Dispatch::host_function(Inputs(inputs), function))
}

/// The tensors a function reads, on their way to a backend.
pub struct Inputs<B: Backend>(Vec<FloatTensor<B>>);

/// By hand, since the framework derives this for single tensors only.
impl<B: Backend> ExtensionType<B> for Inputs<B> {
    type Target = Inputs<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let wrap =
            |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Inputs(self.0.into_iter().map(wrap).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        target.0.iter().fold(DispatchAutodiffContext::Disabled, |context, tensor| {
            context.merge(tensor.autodiff)
        })
    }
}

/// Routes a function to the backend that its tensors live on.
#[backend_extension(Flex, Autodiff)]
pub trait HostFunctions: Backend {
    /// See [`apply`].
    fn host_function(
        #[extension_type] inputs: Inputs<Self>,
        function: Arc<dyn HostFunction>,
    ) -> FloatTensor<Self>;
}

impl HostFunctions for Flex {
    fn host_function(inputs: Inputs<Self>, function: Arc<dyn HostFunction>) -> FloatTensor<Self> {
        Self::run(&inputs.0, &*function, false).0
    }
}

/// A backend whose tensors are slices in memory.
pub trait HostBackend: Backend {
    /// The output and what was kept.
    fn run(
        inputs: &[FloatTensor<Self>],
        function: &dyn HostFunction,
        keep: bool,
    ) -> (FloatTensor<Self>, Kept);

    /// Gradients of the inputs that are wanted.
    fn run_backward(
        inputs: &[FloatTensor<Self>],
        function: &dyn HostFunction,
        kept: &Kept,
        gradient: FloatTensor<Self>,
        wanted: &[bool],
    ) -> Vec<Option<FloatTensor<Self>>>;
}

/// The values of tensors that were made contiguous.
fn slices(inputs: &[FloatTensor<Flex>]) -> Vec<&[f32]> {
    inputs.iter().map(|input| input.as_slice::<f32>().unwrap_or(&[])).collect()
}

fn contiguous(inputs: &[FloatTensor<Flex>]) -> Vec<FloatTensor<Flex>> {
    inputs
        .iter()
        .map(|input| if input.is_contiguous() { input.clone() } else { input.to_contiguous() })
        .collect()
}

impl HostBackend for Flex {
    fn run(
        inputs: &[FloatTensor<Self>],
        function: &dyn HostFunction,
        keep: bool,
    ) -> (FloatTensor<Self>, Kept) {
        let shapes: Vec<Vec<usize>> =
            inputs.iter().map(|input| input.shape().iter().copied().collect()).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let shape = function.output_shape(&shapes);
        let inputs = contiguous(inputs);
        let (output, kept) = function.forward(&slices(&inputs), keep);
        (FloatTensor::<Self>::from_data(TensorData::new(output, shape)), kept)
    }

    fn run_backward(
        inputs: &[FloatTensor<Self>],
        function: &dyn HostFunction,
        kept: &Kept,
        gradient: FloatTensor<Self>,
        wanted: &[bool],
    ) -> Vec<Option<FloatTensor<Self>>> {
        let shapes: Vec<_> = inputs.iter().map(TensorMetadata::shape).collect();
        let (inputs, gradient) = (contiguous(inputs), contiguous(&[gradient]));
        let gradients = function.backward(&slices(&inputs), kept, slices(&gradient)[0], wanted);
        gradients
            .into_iter()
            .zip(shapes)
            .zip(wanted)
            .map(|((values, shape), wanted)| {
                let data = || TensorData::new(values, shape);
                wanted.then(|| FloatTensor::<Self>::from_data(data()))
            })
            .collect()
    }
}

/// What the graph holds until the backward pass.
#[derive(Clone)]
struct State<B: Backend> {
    inputs: Vec<FloatTensor<B>>,
    function: Arc<dyn HostFunction>,
    kept: Kept,
}

impl<B: Backend> fmt::Debug for State<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?})", self.function)
    }
}

#[derive(Debug)]
struct BackwardStep;

impl<B: HostBackend, const N: usize> Backward<B, N> for BackwardStep {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<State<B>, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let State { inputs, function, kept } = ops.state;
        let wanted: Vec<bool> = ops.parents.iter().map(Option::is_some).collect();
        let all = B::run_backward(&inputs, &*function, &kept, gradient, &wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

fn track<B: HostBackend, C: CheckpointStrategy, const N: usize>(
    inputs: Vec<Tracked<B, C>>,
    function: Arc<dyn HostFunction>,
) -> Tracked<B, C> {
    let Ok(nodes) = <[_; N]>::try_from(
        inputs.iter().map(FloatTensor::<Autodiff<B, C>>::node).collect::<Vec<_>>(),
    ) else {
        unreachable!("the caller counted the inputs");
    };
    let primitives: Vec<FloatTensor<B>> =
        inputs.iter().map(|input| input.primitive().clone()).collect();
    match BackwardStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (output, kept) = B::run(&primitives, &*function, true);
            step.finish(State { inputs: primitives, function, kept }, output)
        }
        OpsKind::UnTracked(step) => step.finish(B::run(&primitives, &*function, false).0),
    }
}

impl<B: HostBackend, C: CheckpointStrategy> HostFunctions for Autodiff<B, C> {
    fn host_function(inputs: Inputs<Self>, function: Arc<dyn HostFunction>) -> FloatTensor<Self> {
        let inputs = inputs.0;
        // The number of inputs is part of a step's type.
        match inputs.len() {
            1 => track::<B, C, 1>(inputs, function),
            2 => track::<B, C, 2>(inputs, function),
            3 => track::<B, C, 3>(inputs, function),
            4 => track::<B, C, 4>(inputs, function),
            5 => track::<B, C, 5>(inputs, function),
            6 => track::<B, C, 6>(inputs, function),
            7 => track::<B, C, 7>(inputs, function),
            8 => track::<B, C, 8>(inputs, function),
            9 => track::<B, C, 9>(inputs, function),
            10 => track::<B, C, 10>(inputs, function),
            11 => track::<B, C, 11>(inputs, function),
            12 => track::<B, C, 12>(inputs, function),
            13 => track::<B, C, 13>(inputs, function),
            14 => track::<B, C, 14>(inputs, function),
            15 => track::<B, C, 15>(inputs, function),
            count => panic!("a host function takes one to fifteen tensors, not {count}"),
        }
    }
}
