//! One optimizer step, shared by tuning and by training a base: gradients of micro-batches on all
//! cores, added in a fixed order, and the update.

use burn::tensor::Tensor;
use pefomed_model::parameters::{Trainable, read};

use crate::TrainError;
use crate::adamw::{AdamW, Moments};
use crate::threads;

/// What one micro-batch, or a whole step, gives.
#[derive(Default)]
pub(crate) struct Pass {
    /// Its share of the step's mean loss.
    pub(crate) loss: f64,
    /// One for each parameter; none for one that the loss does not depend on.
    pub(crate) gradients: Vec<Option<Vec<f32>>>,
    /// Positions that went through the model.
    pub(crate) tokens: usize,
}

impl Pass {
    fn of<M: Trainable>(model: &mut M, loss: &Tensor<1>, tokens: usize) -> Self {
        let mut found = loss.backward();
        let gradients = model
            .parameters()
            .iter()
            .map(|(_, parameter)| parameter.take_gradient(&mut found))
            .collect();
        let loss = f64::from(read(loss.clone()).first().copied().unwrap_or(f32::NAN));
        Self { loss, gradients, tokens }
    }

    fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.tokens += other.tokens;
        for (sum, part) in self.gradients.iter_mut().zip(other.gradients) {
            match (sum, part) {
                (Some(sum), Some(part)) => sum.iter_mut().zip(part).for_each(|(s, p)| *s += p),
                (sum @ None, part) => *sum = part,
                (Some(_), None) => {}
            }
        }
    }
}

/// How the jobs of a step use the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Each job has one.
    OneEach,
    /// Each job has all of them, one job after the other.
    All,
}

/// Numbers of a row of activations that are worth a core of their own.
const WORTH_A_CORE: usize = 1 << 16;

impl Cores {
    /// How micro-batches of so many positions and a decoder of some width use `threads` cores. Packed
    /// layers share their products out evenly, which a few uneven jobs do not; but small products are
    /// over before another core has begun.
    pub(crate) fn of(positions: &[usize], width: usize, packed: bool, threads: usize) -> Self {
        let largest = positions.iter().max().map_or(0, |positions| positions * width);
        let few = positions.len() <= threads;
        if packed && few && largest >= threads * WORTH_A_CORE { Self::All } else { Self::OneEach }
    }

    /// Jobs that are in flight at one time.
    pub(crate) fn jobs_at_a_time(self, threads: usize) -> usize {
        match self {
            Self::OneEach => threads.max(1),
            Self::All => 1,
        }
    }
}

/// Runs `loss` for every job and adds what they give in the order of the jobs, so that the sum does
/// not depend on the number of cores. `loss` returns its share of the step's mean loss, and the
/// number of positions.
pub(crate) fn gradients<M, J, F>(
    model: &M,
    jobs: Vec<J>,
    cores: Cores,
    loss: F,
) -> Result<Pass, TrainError>
where
    M: Trainable + Clone + Send,
    J: Send,
    F: Fn(&M, J) -> Result<(Tensor<1>, usize), TrainError> + Sync,
{
    let jobs: Vec<(J, M)> = jobs.into_iter().map(|job| (job, model.clone())).collect();
    let pass = |(job, mut model): (J, M)| {
        model.renew_leaves();
        let (loss, tokens) = loss(&model, job)?;
        Ok::<_, TrainError>(Pass::of(&mut model, &loss, tokens))
    };
    let passes = match cores {
        Cores::OneEach => threads::in_order(jobs, pass)?,
        Cores::All => jobs.into_iter().map(pass).collect::<Result<_, _>>()?,
    };
    let mut passes = passes.into_iter();
    let mut sum = passes.next().unwrap_or_default();
    passes.for_each(|pass| sum.add(pass));
    Ok(sum)
}

/// Zero moments for every parameter.
pub(crate) fn fresh_moments<M: Trainable>(model: &mut M) -> Vec<Moments> {
    model.parameters().iter().map(|(_, parameter)| Moments::zeros(parameter.len())).collect()
}

/// Updates every parameter that has a gradient; `step` is counted from 1.
pub(crate) fn update<M: Trainable>(
    model: &mut M,
    adamw: &AdamW,
    step: usize,
    rate: f64,
    gradients: &[Option<Vec<f32>>],
    moments: &mut [Moments],
) {
    let parameters = model.parameters().into_iter().zip(moments).zip(gradients);
    for (((_, mut parameter), moments), gradient) in parameters {
        let Some(gradient) = gradient else { continue };
        let mut values = parameter.values();
        let decays = parameter.decays();
        adamw.update(step as u64, rate, decays, &mut values, gradient, moments);
        parameter.set(values, true);
    }
}
