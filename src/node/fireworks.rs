//! `fireworks`: a text model of Fireworks, with a prompt or a conversation as
//! its input.

use super::{
    Declaration, Field, Input, InputKind, Node, NodeRequest, Prepared, Problems, Values,
    parameters, provider::Provider, request::NodeSettings, rules, words,
};
use crate::{
    emit::Emit,
    event::Finish,
    fireworks::{Attempt, Client, Endpoint, Interrupted, Request},
    output::OutputFormat,
    price::Tier,
};

static OWN: &[Field] = &[parameters::MODEL_NAME, parameters::TEMPERATURE];

/// The `fireworks` node.
#[derive(Debug)]
pub(super) struct Fireworks(Provider);

impl Fireworks {
    pub(super) fn new(client: Client) -> Fireworks {
        Fireworks(Provider::new(client))
    }
}

impl Node for Fireworks {
    type Config = NodeSettings;
    type Call = Request;

    const DECLARATION: Declaration = Declaration {
        name: "fireworks",
        version: 1,
        label: words("Fireworks", "Fireworks"),
        description: words(
            "Completes a prompt with a text model of Fireworks; a chat goes to its chat endpoint.",
            "Fireworks의 텍스트 모델로 프롬프트를 이어 씁니다. 대화는 채팅 엔드포인트로 보냅니다.",
        ),
        inputs: &[InputKind::Prompt, InputKind::Chat],
        credential_fields: parameters::CREDENTIAL,
        fields: &[
            OWN,
            parameters::SAMPLING,
            parameters::ANSWER,
            parameters::REASONING,
            parameters::TOOLS,
            parameters::PROMPT,
            parameters::CHAT_PROMPT,
            parameters::IMAGES,
            parameters::ROUTE,
        ],
        not_fields: &[
            (
                "stream",
                "Fireworks is always asked to stream; the request's output.deltas says whether you see it",
            ),
            (
                "streaming",
                "the request's output.deltas says whether the answer is shown as it comes",
            ),
            ("stream_options", "token counts are always asked for"),
            ("streamOptions", "token counts are always asked for"),
            ("messages", "the request's chat carries them"),
            ("prompt", "the request's prompt carries it"),
        ],
    };

    fn rules(values: &Values<'_>, asked: NodeRequest<'_>, problems: &mut Problems) {
        rules::check(values, asked, problems);
        match asked.input {
            Some(Input::Prompt(_)) => {
                let why = "goes with a chat only: send the prompt as a chat of one user message";
                for group in [parameters::TOOLS, parameters::CHAT_PROMPT] {
                    rules::refuse(group, values, why, problems);
                }
            }
            Some(Input::Chat(_)) => {
                let why = "goes with a prompt only: put images into the parts of a message";
                rules::refuse(parameters::IMAGES, values, why, problems);
            }
            Some(Input::Texts(_)) | None => {}
        }
    }

    fn configure(values: Values<'_>) -> NodeSettings {
        NodeSettings::new(values)
    }

    fn model(settings: &NodeSettings) -> &str {
        &settings.model
    }

    fn tier(settings: &NodeSettings) -> Tier {
        settings.tier.clone()
    }

    fn prepare(
        &self,
        settings: NodeSettings,
        input: Input,
        output: &OutputFormat,
    ) -> Prepared<Request> {
        let endpoint = match &input {
            Input::Prompt(_) => Endpoint::Completions,
            Input::Chat(_) | Input::Texts(_) => Endpoint::ChatCompletions,
        };
        self.0.prepare(&settings, endpoint, &input, output)
    }

    async fn run(
        &self,
        request: &Request,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        self.0.run(request, attempt, emit).await
    }
}
