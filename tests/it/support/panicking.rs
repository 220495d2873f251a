//! A node that panics on request.

use sparkler::{
    internals::{Attempt, Delta, Emit, Finish, Interrupted, OutputFormat, Piece, Tier},
    node::{
        Declaration, Field, Input, InputKind, Node, Prepared, Routing, SentPrompt, Shape, Values,
        words,
    },
};

use super::{Ask, ask};

/// Panics as its field `panics` says.
pub(crate) struct Panicking;

/// When it panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While it reads its configuration.
    Configured,
    /// As soon as it runs.
    Begun,
    /// When it has said a little.
    Reported,
}

/// Asks the node to panic.
pub(crate) fn panicking(moment: Moment) -> Ask {
    ask("x").node("panicking").set("panics", format!("{moment:?}").into())
}

impl Node for Panicking {
    type Config = Moment;
    type Call = Moment;

    const DECLARATION: Declaration = Declaration {
        name: "panicking",
        version: 1,
        label: words("Panicking", "패닉"),
        description: words("Panics on request.", "지시에 따라 패닉합니다."),
        inputs: &[InputKind::Prompt],
        credential_fields: &[],
        fields: &[&[
            Field::new("modelName", Shape::TEXT, words("Model", "모델")),
            Field::new("panics", Shape::TEXT, words("When it panics", "패닉 시점")),
        ]],
        not_fields: &[],
    };

    fn configure(mut values: Values<'_>) -> Moment {
        let panics = values.take_text("panics");
        match panics.as_deref().expect("the moment is configured") {
            "Begun" => Moment::Begun,
            "Reported" => Moment::Reported,
            _ => panic!("as a broken node would"),
        }
    }

    fn model(_moment: &Moment) -> &str {
        "none"
    }

    fn prepare(&self, moment: Moment, _input: Input, _output: &OutputFormat) -> Prepared<Moment> {
        Prepared {
            base_url: "".into(),
            endpoint: "panicking",
            canonical: Default::default(),
            deltas: true,
            is_alias: false,
            tier: Tier::Standard,
            routing: Routing::default(),
            prompt: SentPrompt::default(),
            call: moment,
        }
    }

    async fn run(
        &self,
        moment: &Moment,
        _attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        if *moment == Moment::Reported {
            let delta = Delta { choice: 0, piece: Piece::Text("Oh".into()) };
            emit.delta(delta).map_err(|error| Interrupted { error, usage: None })?;
            emit.flush();
            // Let the subscribers receive it first.
            tokio::task::yield_now().await;
        }
        panic!("as a broken node would");
    }
}
