//! The loop that both parts of a base are trained with.

use std::time::Instant;

use burn::tensor::Tensor;
use pefomed_model::parameters::Trainable;

use super::Training;
use crate::TrainError;
use crate::adamw::AdamW;
use crate::events::{Event, Observer};
use crate::run_folder::peak_memory_bytes;
use crate::schedule::Schedule;
use crate::step::{self, Cores};

/// Trains every value of `model`. `draw` makes the micro-batches of a step; `loss` gives a
/// micro-batch's share of the step's mean loss, and its number of positions.
pub(super) fn learn<M, J>(
    stage: &str,
    model: &mut M,
    training: &Training,
    observer: &mut dyn Observer,
    mut draw: impl FnMut(usize) -> Result<Vec<J>, TrainError>,
    loss: impl Fn(&M, J) -> Result<(Tensor<1>, usize), TrainError> + Sync,
) -> Result<(), TrainError>
where
    M: Trainable + Clone + Send,
    J: Send,
{
    let Training { steps, batch, learning_rate, warmup_steps, weight_decay } = *training;
    let schedule = Schedule {
        peak: learning_rate,
        last: learning_rate / 20.0,
        first: learning_rate / 100.0,
        warmup_steps,
        steps,
        hold: 1,
    };
    let adamw = AdamW { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay };
    model.set_trainable(true);
    let mut moments = step::fresh_moments(model);
    let started = Instant::now();
    observer.event(&Event::StageStarted {
        stage: stage.to_owned(),
        steps,
        examples: steps * batch,
        trainable: model.parameter_count(),
    })?;
    for index in 0..steps {
        let step_started = Instant::now();
        let pass = step::gradients(model, draw(index)?, Cores::OneEach, &loss)?;
        if !pass.loss.is_finite() {
            return Err(TrainError::Diverged { stage: stage.to_owned(), step: index + 1 });
        }
        let rate = schedule.at(index);
        step::update(model, &adamw, index + 1, rate, &pass.gradients, &mut moments);
        observer.event(&Event::Step {
            stage: stage.to_owned(),
            step: index + 1,
            steps,
            loss: pass.loss,
            learning_rate: rate,
            tokens: pass.tokens,
            questions: batch,
            seconds: step_started.elapsed().as_secs_f64(),
        })?;
    }
    model.set_trainable(false);
    observer.event(&Event::StageFinished {
        stage: stage.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: peak_memory_bytes(),
    })
}
