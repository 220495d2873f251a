//! A node that panics.

use sparkler::{
    event::{Emit, Finish},
    fireworks::{Attempt, Interrupted},
    node::{Declaration, Field, Input, InputKind, Node, Prepared, Shape, Values, words},
    output::OutputFormat,
    price::Tier,
};

/// Panics at once.
pub(crate) struct Panicking;

impl Node for Panicking {
    type Config = ();
    type Call = ();

    const DECLARATION: Declaration = Declaration {
        name: "panicking",
        version: 1,
        label: words("Panicking", "패닉"),
        description: words("Panics at once.", "바로 패닉합니다."),
        inputs: &[InputKind::Prompt],
        credential_fields: &[],
        fields: &[&[Field::new("modelName", Shape::TEXT, words("Model", "모델"))]],
        not_fields: &[],
    };

    fn configure(_values: Values<'_>) {}

    fn model(_config: &()) -> &str {
        "none"
    }

    fn prepare(&self, _config: (), _input: Input, _output: &OutputFormat) -> Prepared<()> {
        Prepared {
            base_url: "".into(),
            endpoint: "panicking",
            canonical: Default::default(),
            deltas: true,
            moving_name: false,
            tier: Tier::Standard,
            call: (),
        }
    }

    async fn run(
        &self,
        _call: &(),
        _attempt: Attempt<'_>,
        _emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        panic!("as a broken node would");
    }
}
