//! From scores to answers, as ONNX Runtime does it: averages, base values, the second class, post transforms.
//!
//! It never sees a tree. Where the specification is silent (what a binary classifier with one weight per leaf answers)
//! the library's behaviour is the specification, because models are published with its answers.

use super::ensemble::{Aggregate, Classes, Ensemble, Post};

/// What is done with a row's scores.
#[derive(Clone, Debug)]
pub(super) struct Finish {
    targets: usize,
    base: Vec<f32>,
    trees: f32,
    aggregate: Aggregate,
    post: Post,
    classes: Option<Classes>,
}

impl Finish {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        Self {
            targets: ensemble.targets,
            base: ensemble.base.clone(),
            trees: ensemble.trees.len() as f32,
            aggregate: ensemble.aggregate,
            post: ensemble.post,
            classes: ensemble.classes.clone(),
        }
    }

    /// The answer from the score of the only target. No post transform: ONNX Runtime applies none to one target.
    #[inline]
    pub(super) fn one(&self, score: f32) -> f32 {
        let score = if self.aggregate == Aggregate::Average { score / self.trees } else { score };
        score + self.base.first().copied().unwrap_or(0.0)
    }

    /// The answers in place of the scores of all targets; `seen` says which targets got a weight. Gives the label.
    pub(super) fn many(&self, scores: &mut [f32], seen: &mut [bool]) -> i64 {
        match &self.classes {
            None => {
                self.targets(scores, seen);
                0
            }
            Some(classes) if self.targets == 2 => self.two(classes, scores, seen),
            Some(classes) => self.several(classes, scores, seen),
        }
    }

    /// A target that no leaf spoke for is 0, without its base value.
    fn targets(&self, scores: &mut [f32], seen: &[bool]) {
        for (target, (score, seen)) in scores.iter_mut().zip(seen).enumerate() {
            let base = self.base.get(target).copied().unwrap_or(0.0);
            let sum = if self.aggregate == Aggregate::Average { *score / self.trees } else { *score };
            *score = if *seen { sum + base } else { 0.0 };
        }
        self.transform(scores);
    }

    fn several(&self, classes: &Classes, scores: &mut [f32], seen: &mut [bool]) -> i64 {
        for ((score, seen), base) in scores.iter_mut().zip(seen.iter_mut()).zip(&self.base) {
            *score = if *seen { *score + base } else { *base };
            *seen = true;
        }
        let mut best: Option<usize> = None;
        for (class, score) in scores.iter().enumerate() {
            if seen[class] && best.is_none_or(|b| *score > scores[b]) {
                best = Some(class);
            }
        }
        self.transform(scores);
        classes.labels[best.unwrap_or(0)]
    }

    /// Two classes. With weights of one class only, the other class gets what is left.
    fn two(&self, classes: &Classes, scores: &mut [f32], seen: &[bool]) -> i64 {
        let (mut first, mut second) = (scores[0], scores[1]);
        match *self.base {
            [_, base] if seen[1] => {
                second = base + first;
                first = -second;
            }
            [a, _] => first += a,
            [base] => first += base,
            _ => {}
        }
        let weight = if seen[1] { second } else { first };
        let halves = classes.one_weight && classes.all_positive;
        let positive = weight > if halves { 0.5 } else { 0.0 };
        if seen[1] || self.base.len() == 2 {
            scores[0] = if seen[0] { first } else { 0.0 };
            scores[1] = if seen[1] { second } else { 0.0 };
            self.transform(scores);
        } else {
            (scores[0], scores[1]) = match self.post {
                Post::Logistic => (logistic(-first), logistic(first)),
                _ if halves => (1.0 - first, first),
                _ => (-first, first),
            };
        }
        if classes.one_weight { classes.labels[usize::from(positive)] } else { i64::from(positive) }
    }

    fn transform(&self, scores: &mut [f32]) {
        match self.post {
            Post::None => {}
            Post::Logistic => scores.iter_mut().for_each(|x| *x = logistic(*x)),
            Post::Softmax => softmax(scores),
        }
    }
}

/// 1 / (1 + e^-x), computed from the side where e does not overflow.
pub(super) fn logistic(x: f32) -> f32 {
    let y = 1.0 / (1.0 + libm::expf(-x.abs()));
    if x < 0.0 { 1.0 - y } else { y }
}

/// Exponentials that sum to one.
pub(super) fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = libm::expf(*score - most);
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}
