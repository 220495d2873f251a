//! The models of a simulator, each with its own behaviour.

pub(crate) mod price;

use std::time::Duration;

use self::price::Price;

/// A model and its peculiarities.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The full resource name, such as `accounts/fireworks/models/glm-5p3`.
    pub name: String,
    /// Maximum tokens of prompt and answer together.
    pub context_length: u32,
    /// The form of its reasoning.
    pub reasoning: Reasoning,
    /// The `reasoning_effort` texts it accepts; empty for any. If there is a
    /// list, numbers are refused too.
    pub efforts: Vec<String>,
    /// True if it accepts images.
    pub supports_images: bool,
    /// True if it accepts `tools`.
    pub supports_tools: bool,
    /// True if it accepts `n` above 1.
    pub supports_n: bool,
    /// The numbers of a vector, for a model of embeddings: it does nothing else.
    pub dimensions: Option<u32>,
    /// True if a stream that did not ask for usage gets it on the last chunk.
    pub unprompted_usage: bool,
    /// The availability of the model.
    pub availability: Availability,
    /// The end of the model, if it has one.
    pub retirement: Option<Retirement>,
    /// The price of its tokens.
    pub price: Price,
}

/// The end of a model. Days count from the simulator's start, which is day 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The first day on which its record announces the end.
    pub announced: i64,
    /// The first day on which it is not served.
    pub ends: i64,
    /// The successor that its record names.
    pub successor: Option<String>,
}

/// The form of a model's reasoning, in chat. Text completions have it inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// No reasoning.
    Absent,
    /// In `reasoning_content`.
    Field,
    /// As `<think>…</think>` at the start of `content`.
    ThinkTags,
}

/// The availability of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Available.
    Ready,
    /// 403 for everybody.
    Forbidden,
    /// 503 `DEPLOYMENT_SCALING_UP` until that many calls were refused or that
    /// much time has passed since the first; with neither, forever.
    ScalingUp {
        /// Calls to refuse.
        calls: Option<u32>,
        /// Time to refuse for.
        lasting: Option<Duration>,
    },
}

impl Model {
    /// Creates a plain, available chat model: no reasoning, 131,072 tokens of context.
    pub fn new(name: impl Into<String>) -> Model {
        Model {
            name: name.into(),
            context_length: 131_072,
            reasoning: Reasoning::Absent,
            efforts: Vec::new(),
            supports_images: false,
            supports_tools: true,
            supports_n: true,
            dimensions: None,
            unprompted_usage: true,
            availability: Availability::Ready,
            retirement: None,
            price: Price::PLAIN,
        }
    }

    /// Makes it a model of embeddings.
    #[must_use]
    pub fn embeddings(mut self, dimensions: u32) -> Model {
        self.dimensions = Some(dimensions);
        self.supports_tools = false;
        self
    }

    /// Lets it end.
    #[must_use]
    pub fn retires(mut self, announced: i64, ends: i64, successor: Option<&str>) -> Model {
        let successor = successor.map(str::to_owned);
        self.retirement = Some(Retirement { announced, ends, successor });
        self
    }

    /// Returns true if a call can name it so: by its name, or by the short form
    /// `ACCOUNT/MODEL` of a name `accounts/ACCOUNT/models/MODEL`.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let account = self.name.strip_prefix("accounts/");
        let parts = account.and_then(|account| account.split_once("/models/"));
        self.name == name || (parts.is_some() && parts == name.split_once('/'))
    }

    /// Returns true if it is not served any more on that day.
    pub(crate) fn has_ended(&self, day: i64) -> bool {
        self.retirement.as_ref().is_some_and(|retirement| retirement.ends <= day)
    }

    /// Sets the price in US dollars per million tokens of input, cached input and
    /// output.
    #[must_use]
    pub fn price(mut self, input: f64, cached_input: f64, output: f64) -> Model {
        self.price = Price { input, cached_input, output };
        self
    }

    /// Sets the context length.
    #[must_use]
    pub fn context_length(mut self, tokens: u32) -> Model {
        self.context_length = tokens;
        self
    }

    /// Sets the form of its reasoning.
    #[must_use]
    pub fn reasoning(mut self, reasoning: Reasoning) -> Model {
        self.reasoning = reasoning;
        self
    }

    /// Sets the only efforts it accepts.
    #[must_use]
    pub fn efforts(mut self, efforts: &[&str]) -> Model {
        self.efforts = efforts.iter().map(|&effort| effort.to_owned()).collect();
        self
    }

    /// Omits usage from a stream that did not ask for it.
    #[must_use]
    pub fn no_usage_unless_asked(mut self) -> Model {
        self.unprompted_usage = false;
        self
    }

    /// Accepts images.
    #[must_use]
    pub fn images(mut self) -> Model {
        self.supports_images = true;
        self
    }

    /// Sets the availability.
    #[must_use]
    pub fn availability(mut self, availability: Availability) -> Model {
        self.availability = availability;
        self
    }

    /// Returns models of the catalogue of late 2026, and some under
    /// `accounts/simulator` that each show one behaviour.
    pub fn catalogue() -> Vec<Model> {
        use Reasoning::{Field, ThinkTags};
        let fireworks = |id: &str| Model::new(format!("accounts/fireworks/{id}"));
        let own = |id: &str| Model::new(format!("accounts/simulator/{id}"));
        let long = 1_048_576;
        vec![
            fireworks("models/kimi-k3")
                .price(3.0, 0.3, 15.0)
                .context_length(long)
                .reasoning(Field)
                .efforts(&["low", "high", "max"])
                .images()
                .no_usage_unless_asked(),
            fireworks("routers/kimi-k3-fast")
                .price(4.5, 0.45, 22.5)
                .context_length(long)
                .images()
                .reasoning(Field)
                .no_usage_unless_asked(),
            fireworks("models/glm-5p3").price(1.4, 0.26, 4.4).context_length(long).reasoning(Field),
            fireworks("routers/glm-5p3-fast")
                .price(2.1, 0.39, 6.6)
                .context_length(long)
                .reasoning(Field),
            fireworks("models/glm-5p3-flash").price(0.15, 0.03, 0.5).context_length(long).images(),
            fireworks("models/deepseek-v4p1-flash")
                .price(0.3, 0.006, 1.2)
                .context_length(long)
                .reasoning(Field)
                .images(),
            fireworks("models/minimax-m3")
                .price(0.3, 0.06, 1.2)
                .context_length(512_000)
                .images()
                .reasoning(Field)
                .no_usage_unless_asked(),
            fireworks("models/qwen3p8-max")
                .price(2.0, 0.25, 6.0)
                .context_length(262_144)
                .reasoning(Field)
                .images(),
            fireworks("models/kimi-k2p5")
                .price(0.6, 0.1, 3.0)
                .context_length(262_144)
                .reasoning(ThinkTags),
            fireworks("models/gpt-oss-20b")
                .price(0.07, 0.035, 0.3)
                .reasoning(Field)
                .efforts(&["low", "medium", "high"]),
            fireworks("models/qwen3-embedding-8b")
                .price(0.1, 0.1, 0.0)
                .context_length(40_960)
                .embeddings(4096),
            own("models/plain"),
            own("models/embedding").context_length(512).embeddings(64),
            own("models/reasoning").reasoning(Field),
            own("models/think-tags").reasoning(ThinkTags),
            own("models/silent-usage").no_usage_unless_asked(),
            own("models/small").context_length(256),
            Model { supports_tools: false, supports_n: false, ..own("models/bare") },
            own("models/ending").retires(-2, 20, Some("accounts/simulator/models/plain")),
            own("models/retired").retires(-30, -1, Some("accounts/simulator/models/plain")),
            own("models/forbidden").availability(Availability::Forbidden),
            own("deployments/scaling-up")
                .availability(Availability::ScalingUp { calls: Some(2), lasting: None }),
        ]
    }
}
