//! The plan as a person reads it.

use std::fmt::Write as _;

use super::Plan;
use pefomed_data::readable::{bytes, powers, thousands};

impl Plan {
    /// The plan as a table of text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        if let Some(title) = &self.title {
            let _ = writeln!(out, "{title}\n");
        }
        for missing in &self.missing {
            let _ = writeln!(out, "not there: {missing}");
        }
        if !self.missing.is_empty() {
            let _ = writeln!(
                out,
                "Stages that need it are planned as one micro-batch of `token_budget` positions.\n"
            );
        }
        if let Some(start) = &self.missing_start {
            let _ = writeln!(
                out,
                "not there: the adapter to start from, `{}`; planned as [adapter] describes it\n",
                start.display()
            );
        }
        self.parameters_text(&mut out);
        self.memory_text(&mut out);
        self.choices_text(&mut out);
        for stage in &self.stages {
            if stage.is_assumed {
                let (budget, steps) = (stage.largest_micro_batch, stage.steps);
                let steps = if steps > 0 { thousands(steps) } else { "unknown".to_owned() };
                let _ = writeln!(
                    out,
                    "\nstage {}: {steps} steps, tokens not counted; one micro-batch of {} positions",
                    stage.name,
                    thousands(budget),
                );
                let _ = writeln!(out, "  trainable         {:>14}", thousands(stage.trainable));
                let flop = powers(stage.flop_per_step);
                let _ = writeln!(out, "  FLOP a batch      {flop:>14}");
                continue;
            }
            let _ = writeln!(
                out,
                "\nstage {}: {} questions about {} images, {} steps ({} a pass), {} micro-batches \
                 a step at most",
                stage.name,
                thousands(stage.questions),
                thousands(stage.image_groups),
                thousands(stage.steps),
                thousands(stage.steps_per_pass),
                stage.micro_batches,
            );
            for data in stage.data.iter().filter(|_| stage.data.len() > 1) {
                let _ = writeln!(
                    out,
                    "  data {:<12} {:>14} drawn a pass ({:.1} %) of {} questions",
                    data.name,
                    thousands(data.drawn),
                    100.0 * ratio(data.drawn, stage.questions),
                    thousands(data.questions),
                );
            }
            let _ = writeln!(
                out,
                "  tokens a pass     {:>14} with shared images, {} without ({:.2} times as many)",
                thousands(stage.tokens_per_pass),
                thousands(stage.tokens_per_pass_unshared),
                ratio(stage.tokens_per_pass_unshared, stage.tokens_per_pass),
            );
            let answers = thousands(stage.answer_tokens_per_pass);
            let _ =
                writeln!(out, "  answer tokens     {answers:>14} a pass; the loss is their mean");
            let _ = writeln!(out, "  trainable         {:>14}", thousands(stage.trainable));
            if stage.encoded_in_a_step > 0 {
                let _ = writeln!(
                    out,
                    "  encoded in a step {:>14} images at most, changed anew; no features are kept",
                    thousands(stage.encoded_in_a_step)
                );
            }
            let _ = writeln!(out, "  FLOP a step       {:>14}", powers(stage.flop_per_step));
        }
        out
    }

    fn parameters_text(&self, out: &mut String) {
        let _ = writeln!(out, "parameters             trainable          frozen");
        for part in &self.parameters {
            let (trainable, frozen) = (dash(part.trainable), dash(part.frozen));
            let _ = writeln!(out, "  {:<12} {trainable:>17} {frozen:>15}", part.part);
        }
        let trainable: usize = self.parameters.iter().map(|part| part.trainable).sum();
        let frozen: usize = self.parameters.iter().map(|part| part.frozen).sum();
        let share = 100.0 * ratio(trainable, trainable + frozen);
        let _ = writeln!(
            out,
            "  {:<12} {:>17} {:>15}   {share:.2} % are trained; frozen parameters have no gradient \
             and no optimizer state",
            "sum",
            thousands(trainable),
            thousands(frozen),
        );
    }

    fn memory_text(&self, out: &mut String) {
        let memory = &self.memory;
        let _ = writeln!(out, "\nmemory on {} threads", self.threads);
        let mut row = |name: &str, size: usize, note: &str| {
            let note = if note.is_empty() { String::new() } else { format!("   {note}") };
            let _ = writeln!(out, "  {name:<20} {:>12}{note}", bytes(size));
        };
        row("frozen weights", memory.frozen_weights, "no gradient, no moments");
        row("trainable weights", memory.trainable_weights, "float32");
        row("gradients", memory.gradients, "one set for each micro-batch of a step");
        row("Adam moments", memory.adam_moments, "");
        row("activations", memory.activations, "estimate, micro-batches in flight");
        row("features in memory", memory.features_in_memory, "");
        row("program, questions", memory.program, "");
        row("tokenizer", memory.tokenizer, "with what reading it takes");
        row("left by loading", memory.loading, "a layer in float32 while it is packed");
        row(
            "left by allocator",
            memory.allocator,
            "a twentieth of what comes and goes with a step",
        );
        row("peak", memory.peak, "estimate");
        let cache = memory.features_in_memory + memory.features_on_disk;
        let place = if memory.features_on_disk > 0 { "on disk" } else { "in memory" };
        let _ = writeln!(
            out,
            "\nencoding, once: {} images of {} visual tokens, {} FLOP, {} of features {place}, {} \
             in flight",
            thousands(self.images),
            self.visual_tokens,
            powers(self.encoding_flop),
            bytes(cache),
            bytes(memory.encoding),
        );
    }
}

impl Plan {
    fn choices_text(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\ntraining with the frozen decoder in other precisions\n  {:<18} {:<13} {:>14} \
             {:>12} {:>12}",
            "precision", "checkpointing", "frozen weights", "activations", "peak",
        );
        for choice in &self.choices {
            let fits = match self.available_memory {
                Some(available) if choice.peak as u64 <= available => "   fits",
                Some(_) => "   does not fit",
                None => "",
            };
            let runs = if choice.runs { "" } else { "   not in this build" };
            let _ = writeln!(
                out,
                "  {:<18} {:<13} {:>14} {:>12} {:>12}{fits}{runs}",
                choice.precision.name(),
                if choice.checkpointing { "yes" } else { "no" },
                bytes(choice.frozen_weights),
                bytes(choice.activations),
                bytes(choice.peak),
            );
        }
        if let Some(available) = self.available_memory {
            let available = bytes(usize::try_from(available).unwrap_or(usize::MAX));
            let _ = writeln!(out, "  {available} of memory are available now");
        }
    }
}

fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b.max(1) as f64
}

fn dash(number: usize) -> String {
    if number == 0 { "–".to_owned() } else { thousands(number) }
}
