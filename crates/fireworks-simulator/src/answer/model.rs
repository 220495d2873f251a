//! The models a simulator has, each with its own habits.

use std::time::Duration;

/// A model and what it does differently from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its full resource name, such as `accounts/fireworks/models/glm-5p3`.
    pub name: String,
    /// Tokens that prompt and answer may have together.
    pub context_length: u32,
    /// How it shows that it thinks.
    pub reasoning: Reasoning,
    /// The `reasoning_effort` texts it takes; empty for any. Where there is a
    /// list, numbers are refused too.
    pub efforts: Vec<String>,
    /// Whether it takes images.
    pub supports_images: bool,
    /// Whether it takes `tools`.
    pub supports_tools: bool,
    /// Whether it takes `n` above 1.
    pub supports_n: bool,
    /// Whether a stream that did not ask for usage gets it on the last chunk.
    pub unprompted_usage: bool,
    /// Whether it can be used.
    pub availability: Availability,
}

/// How a model shows that it thinks, in chat. Text completions have it inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// It does not.
    Absent,
    /// In `reasoning_content`.
    Field,
    /// As `<think>…</think>` at the head of `content`.
    ThinkTags,
}

/// Whether a model can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Ready,
    /// 403 for everybody.
    Forbidden,
    /// 503 `DEPLOYMENT_SCALING_UP` until that many calls were refused or that
    /// much time has passed since the first; with neither, for ever.
    ScalingUp {
        /// Calls to refuse.
        calls: Option<u32>,
        /// Time to refuse for.
        lasting: Option<Duration>,
    },
}

impl Model {
    /// A plain, ready chat model: no reasoning, 131,072 tokens of context.
    pub fn new(name: impl Into<String>) -> Model {
        Model {
            name: name.into(),
            context_length: 131_072,
            reasoning: Reasoning::Absent,
            efforts: Vec::new(),
            supports_images: false,
            supports_tools: true,
            supports_n: true,
            unprompted_usage: true,
            availability: Availability::Ready,
        }
    }

    /// With that much context.
    #[must_use]
    pub fn context_length(mut self, tokens: u32) -> Model {
        self.context_length = tokens;
        self
    }

    /// With that way of reasoning.
    #[must_use]
    pub fn reasoning(mut self, reasoning: Reasoning) -> Model {
        self.reasoning = reasoning;
        self
    }

    /// With those efforts and no other.
    #[must_use]
    pub fn efforts(mut self, efforts: &[&str]) -> Model {
        self.efforts = efforts.iter().map(|&effort| effort.to_owned()).collect();
        self
    }

    /// Without usage in a stream that did not ask for it.
    #[must_use]
    pub fn no_usage_unless_asked(mut self) -> Model {
        self.unprompted_usage = false;
        self
    }

    /// With an eye for images.
    #[must_use]
    pub fn images(mut self) -> Model {
        self.supports_images = true;
        self
    }

    /// With that availability.
    #[must_use]
    pub fn availability(mut self, availability: Availability) -> Model {
        self.availability = availability;
        self
    }

    /// Models of the catalogue of late 2026, and beside them some under
    /// `accounts/simulator` that each show one behaviour.
    pub fn catalogue() -> Vec<Model> {
        use Reasoning::{Field, ThinkTags};
        let fireworks = |id: &str| Model::new(format!("accounts/fireworks/{id}"));
        let own = |id: &str| Model::new(format!("accounts/simulator/{id}"));
        let long = 1_048_576;
        vec![
            fireworks("models/kimi-k3")
                .context_length(long)
                .reasoning(Field)
                .efforts(&["low", "high", "max"])
                .images()
                .no_usage_unless_asked(),
            fireworks("routers/kimi-k3-fast")
                .context_length(long)
                .images()
                .reasoning(Field)
                .no_usage_unless_asked(),
            fireworks("models/glm-5p3").context_length(long).reasoning(Field),
            fireworks("routers/glm-5p3-fast").context_length(long).reasoning(Field),
            fireworks("models/glm-5p3-flash").context_length(long).images(),
            fireworks("models/deepseek-v4p1-flash").context_length(long).reasoning(Field).images(),
            fireworks("models/minimax-m3")
                .context_length(512_000)
                .images()
                .reasoning(Field)
                .no_usage_unless_asked(),
            fireworks("models/qwen3p8-max").context_length(262_144).reasoning(Field).images(),
            fireworks("models/kimi-k2p5").context_length(262_144).reasoning(ThinkTags),
            fireworks("models/gpt-oss-20b").reasoning(Field).efforts(&["low", "medium", "high"]),
            own("models/plain"),
            own("models/reasoning").reasoning(Field),
            own("models/think-tags").reasoning(ThinkTags),
            own("models/silent-usage").no_usage_unless_asked(),
            own("models/small").context_length(256),
            Model { supports_tools: false, supports_n: false, ..own("models/bare") },
            own("models/forbidden").availability(Availability::Forbidden),
            own("deployments/scaling-up")
                .availability(Availability::ScalingUp { calls: Some(2), lasting: None }),
        ]
    }
}
