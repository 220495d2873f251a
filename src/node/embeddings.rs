//! `fireworksEmbeddings`: the vectors of texts, from an embedding model of Fireworks.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Declaration, Field, Group, Input, InputKind, Literal, Node, NodeRequest, Prepared, Problems,
    SentPrompt, Shape, Texts, Values,
    field::Class,
    model_name, parameters,
    provider::Provider,
    request::{self, NodeSettings},
    words,
};
use crate::{
    emit::Emit,
    event::Finish,
    fireworks::{Attempt, Client, EmbeddingRequest, Interrupted},
    output::OutputFormat,
    price::Tier,
};

/// The texts of a request, unless the node says otherwise.
const USUAL_BATCH: i64 = 256;

static MODEL: &[Field] = &Group::Model.of([parameters::MODEL_NAME]);

static VECTOR: &[Field] = &Group::Answer.of([
    Field::integer("dimensions", 1, 65_536, words("Dimensions", "차원 수"))
        .help(
            "The length of a vector, for models that can shorten theirs; otherwise the model's own.",
            "벡터의 길이입니다. 줄일 수 있는 모델에서만 쓰며, 비우면 모델의 길이를 따릅니다.",
        )
        .sent_as("dimensions")
        .basic(),
    Field::boolean("normalize", words("Normalize", "정규화"))
        .help(
            "Scales every vector to length 1.",
            "모든 벡터의 크기를 1로 맞춥니다.",
        )
        .sent_as("normalize")
        .neutral(Literal::Boolean(false)),
]);

static PROMPT: &[Field] = &Group::Prompt.of([Field::new(
    "promptTemplate",
    Shape::TEXT,
    words("Prompt template", "프롬프트 템플릿"),
)
.help(
    "A template that Fireworks puts each text into, such as an instruction for queries.",
    "Fireworks가 각 텍스트를 넣는 템플릿입니다. 예: 검색어용 지시문.",
)
.sent_as("prompt_template")]);

static BATCH: &[Field] =
    &Group::Routing.of([Field::integer("batchSize", 1, 2048, words("Batch size", "배치 크기"))
        .help(
            "How many texts one request to Fireworks carries at most. Changes no vector.",
            "Fireworks 요청 하나에 담는 텍스트의 최대 수입니다. 벡터에는 영향이 없습니다.",
        )
        .class(Class::Route)
        .or(Literal::Integer(USUAL_BATCH))]);

/// The `fireworksEmbeddings` node.
#[derive(Debug)]
pub(super) struct FireworksEmbeddings(Provider);

/// The values of its form, typed.
#[derive(Debug)]
pub(super) struct EmbeddingsConfig {
    settings: NodeSettings,
    dimensions: Option<usize>,
    batch: usize,
}

/// Texts to embed, and the request for them.
#[derive(Debug)]
pub(super) struct EmbeddingCall {
    config: Arc<EmbeddingsConfig>,
    texts: Arc<[Arc<str>]>,
    request: EmbeddingRequest,
}

impl FireworksEmbeddings {
    pub(super) fn new(client: Client) -> FireworksEmbeddings {
        FireworksEmbeddings(Provider::new(client))
    }
}

impl EmbeddingCall {
    /// Returns the call, and its canonical request.
    fn new(config: Arc<EmbeddingsConfig>, texts: Arc<[Arc<str>]>) -> (Bytes, EmbeddingCall) {
        let (canonical, body) = request::write_texts(&config.settings, &texts);
        let dimensions = config.dimensions;
        let request = EmbeddingRequest { body, texts: texts.len(), dimensions };
        (canonical, EmbeddingCall { config, texts, request })
    }
}

impl Node for FireworksEmbeddings {
    type Config = EmbeddingsConfig;
    type Call = EmbeddingCall;

    const DECLARATION: Declaration = Declaration {
        name: "fireworksEmbeddings",
        version: 1,
        label: words("Fireworks Embeddings", "Fireworks 임베딩"),
        description: words(
            "Turns texts into vectors with an embedding model of Fireworks; each text is cached by itself.",
            "Fireworks의 임베딩 모델로 텍스트를 벡터로 바꿉니다. 텍스트마다 따로 캐시합니다.",
        ),
        inputs: &[InputKind::Texts],
        credential_fields: parameters::CREDENTIAL,
        fields: &[MODEL, VECTOR, PROMPT, BATCH],
        not_fields: &[
            ("input", "the request's texts carry it"),
            ("texts", "the request's texts carry them"),
            ("encodingFormat", "vectors always come as packed floats"),
            ("encoding_format", "vectors always come as packed floats"),
            ("stripNewLines", "texts are embedded as they are; take line breaks out beforehand"),
        ],
    };

    fn rules(_values: &Values<'_>, asked: NodeRequest<'_>, problems: &mut Problems) {
        if matches!(asked.output, OutputFormat::Json { .. }) {
            problems.add("output.format", "is FORMAT_JSON, and vectors are not JSON");
        }
    }

    fn configure(values: Values<'_>) -> EmbeddingsConfig {
        let number = |name| values.integer(name).and_then(|number| usize::try_from(number).ok());
        let (dimensions, batch) = (number("dimensions"), number("batchSize"));
        EmbeddingsConfig {
            settings: NodeSettings::new(values),
            dimensions,
            batch: batch.unwrap_or(1),
        }
    }

    fn model(config: &EmbeddingsConfig) -> &str {
        &config.settings.model
    }

    fn tier(config: &EmbeddingsConfig) -> Tier {
        config.settings.tier.clone()
    }

    fn prepare(
        &self,
        config: EmbeddingsConfig,
        input: Input,
        _output: &OutputFormat,
    ) -> Prepared<EmbeddingCall> {
        let Input::Texts(texts) = input else {
            unreachable!("it takes texts only");
        };
        let texts = texts.into_iter().map(Arc::from).collect();
        let config = Arc::new(config);
        let is_alias = model_name::is_alias(&config.settings.model);
        let tier = config.settings.tier.clone();
        let routing = config.settings.routing();
        let (canonical, call) = EmbeddingCall::new(config, texts);
        Prepared {
            base_url: Arc::clone(&self.0.base_url),
            endpoint: "embeddings",
            canonical,
            deltas: false,
            is_alias,
            tier,
            routing,
            prompt: SentPrompt::default(),
            call,
        }
    }

    fn texts(call: &EmbeddingCall) -> Option<Texts> {
        Some(Texts { list: Arc::clone(&call.texts), batch: call.config.batch })
    }

    fn with_texts(
        &self,
        call: &EmbeddingCall,
        texts: Arc<[Arc<str>]>,
    ) -> Option<(Bytes, EmbeddingCall)> {
        Some(EmbeddingCall::new(Arc::clone(&call.config), texts))
    }

    async fn run(
        &self,
        call: &EmbeddingCall,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        self.0.client.embed(&call.request, attempt, emit).await
    }
}
