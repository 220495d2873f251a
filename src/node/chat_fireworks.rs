//! `chatFireworks`: a conversation with a chat model of Fireworks.

use super::{
    Declaration, Field, Input, InputKind, Literal, Node, NodeRequest, Prepared, Problems, Values,
    parameters, provider::Provider, request::NodeSettings, rules, words,
};
use crate::{
    emit::Emit,
    event::Finish,
    fireworks::{Attempt, Client, Endpoint, Interrupted, Request},
    node::field::Class,
    output::OutputFormat,
    price::Tier,
};

static OWN: &[Field] = &[
    parameters::MODEL_NAME,
    parameters::TEMPERATURE.or(Literal::Number(0.9)),
    Field::boolean("streaming", words("Streaming", "스트리밍"))
        .help(
            "Shows the answer as it comes; otherwise it comes whole.",
            "답변을 생성되는 대로 보여 줍니다. 끄면 완성된 답변만 옵니다.",
        )
        .class(Class::Route)
        .or(Literal::Boolean(true))
        .basic(),
];

/// The `chatFireworks` node.
#[derive(Debug)]
pub(super) struct ChatFireworks(Provider);

impl ChatFireworks {
    pub(super) fn new(client: Client) -> ChatFireworks {
        ChatFireworks(Provider::new(client))
    }
}

impl Node for ChatFireworks {
    type Config = NodeSettings;
    type Call = Request;

    const DECLARATION: Declaration = Declaration {
        name: "chatFireworks",
        version: 1,
        label: words("Chat Fireworks", "Fireworks 채팅"),
        description: words(
            "Talks to a chat model of Fireworks; a prompt becomes one user message.",
            "Fireworks의 채팅 모델과 대화합니다. 프롬프트는 사용자 메시지 하나가 됩니다.",
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
            parameters::ROUTE,
        ],
        not_fields: &[
            ("stream", "Fireworks is always asked to stream; streaming says whether you see it"),
            ("stream_options", "token counts are always asked for"),
            ("streamOptions", "token counts are always asked for"),
            ("messages", "the request's chat carries them"),
            ("prompt", "the request's prompt carries it"),
        ],
    };

    fn rules(values: &Values<'_>, asked: NodeRequest<'_>, problems: &mut Problems) {
        rules::check(values, asked, problems);
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
        self.0.prepare(&settings, Endpoint::ChatCompletions, &input, output)
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
