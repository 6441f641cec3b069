"""Every setting of the server, declared once: name, type, bounds, default and one line of help.

`engine.config` makes `config.yaml`, the command line, the environment variables and the
`--help` page from these declarations. To add a setting, add a field here and run
`python -m engine.config > config.yaml`.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)


def _on_or_off(value: object) -> object:
    """Turn `true` and `false` into `on` and `off`.

    Tools that read a config file as YAML 1.1 and write it again turn an unquoted `on` into
    `true`.
    """
    return {"true": "on", "false": "off"}.get(str(value).lower(), value)


# llama.cpp's own maxima: LLAMA_MAX_SEQ and GGML_MAX_N_THREADS.
SequenceCount = Annotated[int, Field(ge=1, le=256)]
ThreadCount = Annotated[int, Field(ge=1, le=512)]
ContextLength = Annotated[int, Field(ge=64)]
ConnectionCount = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
# An empty host would listen on every address, and no other text may be empty either.
Text = Annotated[str, Field(min_length=1)]
OrNone = Literal["none"] | Text
RateText = Annotated[
    str,
    Field(
        pattern=r"^(none|[1-9][0-9]{0,8}/(s|min|h|day))$",
        json_schema_extra={"format": "none or a rate as 60/min (s, min, h, day)"},
    ),
]
RedisUrl = Annotated[
    str,
    Field(
        pattern=r"^(none|(rediss?|unix)://.+)$",
        json_schema_extra={
            "format": "none or an address as redis://host:6379/0, rediss:// or unix://",
            "writeOnly": True,
        },
    ),
]
AutoOnOff = Annotated[Literal["auto", "on", "off"], BeforeValidator(_on_or_off)]


class Section(BaseModel):
    """A group of settings. Unknown names are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """Where the server listens."""

    host: Text = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        description="port to listen on; 0 picks a free one and the start-up line says which",
    )

    unix_socket: OrNone = Field(
        default="none", description="Unix socket to listen on, in the place of host and port"
    )
    certificate: OrNone = Field(
        default="none", description="file with the certificate chain (PEM); with it, TLS is spoken"
    )
    private_key: OrNone = Field(
        default="none", description="file with its private key; none where that is in the same file"
    )
    trusted_proxies: list[Text] = Field(
        default=[],
        description="addresses, networks, or unix, of proxies whose X-Forwarded-* headers count",
    )
    insecure: bool = Field(
        default=False, description="listen on a public address although there are no keys"
    )
    allowed_hosts: list[Text] = Field(
        default=[],
        description="names that requests may call this server by, beside those of this machine",
    )
    allowed_origins: list[Text] = Field(
        default=[],
        description="origins of other sites whose pages may use this server (CORS)",
    )


class Keys(Section):
    """Who may use the server."""

    file: Text = Field(
        default="keys.json",
        description="keys made by keys add; a file in data.folder",
    )
    entries: list[dict[str, Any]] = Field(
        default=[], description="keys beside those of the file, as keys add --print shows them"
    )
    state_file: Text = Field(
        default="state.sqlite",
        description="used tokens and sessions of the pages; a file in data.folder",
    )


class Limits(Section):
    """What one request may hold, and how long its client may take."""

    text_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1,
        description="largest text of a request, in bytes of UTF-8; above it the answer is 413",
    )
    texts: int = Field(
        default=1000, ge=1, description="most texts in the list of one request; above it: 413"
    )
    queue: int = Field(
        default=512,
        ge=1,
        description="generations that may wait for a sequence; beyond it the answer is 503",
    )
    body_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=1,
        validate_default=True,
        description="largest body of a request, in bytes; must be above limits.text_bytes",
    )

    header_bytes: int = Field(
        default=32 * 1024,
        ge=1024,
        description="largest request line and headers together, in bytes; above it: 431",
    )
    header_timeout: Seconds = Field(
        default=20.0,
        gt=0,
        description="seconds for the headers; a new connection that says nothing is closed then",
    )
    body_timeout: Seconds = Field(
        default=120.0, gt=0, description="seconds for the whole body; above it the answer is 408"
    )
    idle_timeout: Seconds = Field(
        default=75.0,
        gt=0,
        description="seconds that a connection is kept open for its next request",
    )
    connections: Literal["auto"] | ConnectionCount = Field(
        default="auto",
        description="connections that may be open; auto follows the limit of open files",
    )
    connections_per_address: int = Field(
        default=0,
        ge=0,
        description="connections from one address, loopback left out; 0 sets no limit",
    )
    rate_per_address: RateText = Field(
        default="none", description="requests from one address, with or without a key"
    )
    requests_per_connection: int = Field(
        default=10_000,
        ge=0,
        description="requests after which a connection is closed; 0 sets no limit",
    )

    @field_validator("body_bytes")
    @classmethod
    def _above_text_bytes(cls, body_bytes: int, info: ValidationInfo) -> int:
        """Refuse a body limit under which no text could reach the limit of its own."""
        text_bytes = info.data.get("text_bytes")
        if text_bytes is not None and body_bytes <= text_bytes:
            raise ValueError(
                f"limits.body_bytes ({body_bytes}) must be above limits.text_bytes ({text_bytes})"
            )
        return body_bytes


class Engine(Section):
    """What translates, and with how much of the machine."""

    kind: Literal["local", "remote", "ray", "echo"] = Field(
        default="local",
        description="local runs llama.cpp here, remote asks the upstreams of the section remote,"
        " ray the replicas of the section ray; echo gives the text back, for tests of structure",
    )
    sequences: Literal["auto"] | SequenceCount = Field(
        default="auto", description="how many texts are decoded at once"
    )
    context: Literal["auto"] | ContextLength = Field(
        default="auto", description="tokens that one sequence can hold, prompt and answer together"
    )
    threads: Literal["auto"] | ThreadCount = Field(
        default="auto",
        description="threads of a step that decodes; auto measures when the model is loaded",
    )
    prompt_threads: Literal["auto"] | ThreadCount = Field(
        default="auto", description="threads of a step that also reads prompts; auto is as threads"
    )
    batch: int = Field(default=512, ge=32, le=65536, description="most tokens in one llama_decode")
    flash_attention: AutoOnOff = Field(default="auto", description="use flash attention")
    n_gpu_layers: int = Field(
        default=-1,
        ge=-1,
        le=9999,
        description="layers given to a GPU where the build has one; -1 is all",
    )
    main_gpu: int = Field(
        default=0, ge=0, description="the GPU that is used where split_mode is none"
    )
    split_mode: Literal["none", "layer", "row"] = Field(
        default="layer", description="how a model is spread over several GPUs"
    )
    kv_type: Literal["f16", "q8_0"] = Field(
        default="f16", description="numbers in the KV cache; q8_0 takes half the memory"
    )
    lookahead: int = Field(
        default=4,
        ge=1,
        le=64,
        description="segments of one text decoded ahead of its reader",
    )
    self_check: bool = Field(
        default=True, description="check a build that was not checked before at start"
    )


class Remote(Section):
    """Servers that translate for this one, where engine.kind is remote."""

    upstreams: list[Text] = Field(
        default=[], description="their addresses, such as http://gpu1:8000"
    )
    model: Text = Field(
        default="auto", description="what they call the model; auto is the first that each lists"
    )
    key: Text = Field(
        default="none",
        description="the key for them, sent as a bearer token; none sends none",
        json_schema_extra={"writeOnly": True},
    )
    streams: int = Field(
        default=64,
        ge=1,
        description="generations that one of them is given at a time; more wait here",
    )
    timeout: Seconds = Field(
        default=120.0, gt=0, description="one that sends nothing for so many seconds has failed"
    )
    check_interval: Seconds = Field(
        default=2.0, ge=0.05, description="seconds between two looks whether they answer"
    )


class Ray(Section):
    """Replicas of the local engine in a Ray cluster, where engine.kind is ray."""

    address: Text = Field(
        default="local",
        description="where the cluster's head listens, such as 10.0.0.1:6379; local starts a"
        " cluster on this machine, auto finds one that runs here",
    )
    min_replicas: int = Field(default=1, ge=1, description="replicas that always run")
    max_replicas: int = Field(
        default=4, ge=1, validate_default=True, description="replicas that run under load"
    )
    replica_cpus: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="CPUs kept for a replica; it has so many threads where engine.threads is auto",
    )
    replica_gpus: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="GPUs kept for a replica"
    )
    target_streams: int = Field(
        default=16,
        ge=1,
        description="generations for each replica, waiting ones too, above which more are started",
    )
    streams: int = Field(
        default=64,
        ge=2,
        validate_default=True,
        description="generations given out at a time for each replica; more wait in front",
    )
    upscale_delay: Seconds = Field(
        default=10.0, ge=0, description="seconds of load before a replica is started"
    )
    downscale_delay: Seconds = Field(
        default=300.0, ge=0, description="seconds of less load before one is ended"
    )
    start_timeout: Seconds = Field(
        default=300.0, gt=0, description="seconds that the replicas may take to be ready"
    )
    check_interval: Seconds = Field(
        default=2.0, ge=0.05, description="seconds between two looks at what the replicas do"
    )

    @field_validator("max_replicas")
    @classmethod
    def _not_below_least(cls, most: int, info: ValidationInfo) -> int:
        """Refuse bounds that leave no number."""
        least = info.data.get("min_replicas")
        if least is not None and most < least:
            raise ValueError(
                f"ray.max_replicas ({most}) must not be below ray.min_replicas ({least})"
            )
        return most

    @field_validator("streams")
    @classmethod
    def _above_target(cls, streams: int, info: ValidationInfo) -> int:
        """Refuse a limit under which the load could never ask for another replica."""
        target = info.data.get("target_streams")
        if target is not None and streams <= target:
            raise ValueError(f"ray.streams ({streams}) must be above ray.target_streams ({target})")
        return streams


class Models(Section):
    """Which model answers, and where model files lie."""

    selected: Text = Field(
        default="tatoeba-mini", description="name of an entry, or path of a .gguf file"
    )
    folder: Text = Field(
        default="models",
        description="where model files lie; relative to the folder of server.py",
    )
    entries: list[dict[str, Any]] = Field(default=[], description="models of your own")
    hosts: list[Text] = Field(
        default=[],
        description="hosts that model files may come from, beside Hugging Face's and HF_ENDPOINT's",
    )
    max_loaded: int = Field(
        default=1,
        ge=1,
        le=16,
        description="models loaded at once; above 1 a request may name any that is downloaded",
    )


class Translation(Section):
    """What holds for a request that does not say."""

    target_lang: Text = Field(
        default="ja", description="language to translate into, for a request that names none"
    )
    source_lang: Text = Field(
        default="auto", description="language of the text, where the request does not say"
    )
    earlier_segments: int = Field(
        default=0,
        ge=0,
        le=20,
        description="segments before each that a model is told, where its prompt has a place",
    )


class Data(Section):
    """What the server writes down."""

    folder: Text = Field(
        default="data",
        description="where it lies; relative to the folder of server.py, made when it is needed",
    )


class Memory(Section):
    """The translation memory: segments that were translated before are not translated again."""

    path: Text = Field(
        default="off",
        description="a file in data.folder; off keeps nothing, :memory: until the server ends,"
        " redis where redis.url says",
    )
    room: int = Field(
        default=256 * 1024 * 1024,
        ge=4096,
        description="bytes of segments; beyond it those that were not used for longest go",
    )
    similar: Literal["off", "imported", "all"] = Field(
        default="off",
        description="whose segments a request's matches are: imported are those of TMX files, all"
        " those that others had translated, too",
    )

    in_prompts: bool = Field(
        default=False,
        description="tell the model the matches that a request asks for, where its prompt has room",
    )

    @field_validator("path", "similar", mode="before")
    @classmethod
    def _off(cls, path: object) -> object:
        """YAML 1.1 reads an unquoted `off` as false."""
        return "off" if path is False else path


class Redis(Section):
    """What several servers share: rates, used tokens, sessions, and the memory if that says so."""

    url: RedisUrl = Field(
        default="none",
        description="a Redis, with user and password where it wants them:"
        " redis://user:password@host:6379/0",
    )
    timeout: Seconds = Field(
        default=0.05,
        ge=0.001,
        le=10,
        description="seconds that a request waits for it, and then goes by this server's own count",
    )


class Streams(Section):
    """Event streams and their readers."""

    heartbeat: Seconds = Field(
        default=15.0,
        gt=0,
        description="a comment line is sent after so many seconds without a token",
    )
    stall_timeout: Seconds = Field(
        default=60.0,
        gt=0,
        description="a reader that takes nothing for so many seconds is dropped",
    )
    unread_bytes: int = Field(
        default=32 * 1024,
        ge=2,
        description="bytes that a stream's reader may be behind, half of them in the kernel; then"
        " the model pauses for it",
    )
    send_buffer: int = Field(
        default=64 * 1024,
        ge=4096,
        le=2**30,
        description="bytes that the kernel holds for a reader (SO_SNDBUF); Linux doubles it",
    )
    dead_peer_timeout: Seconds = Field(
        default=90.0,
        ge=1,
        le=86_400,
        description="a connection whose peer has vanished is closed after so many seconds",
    )
    resume_grace: Seconds = Field(
        default=60.0,
        gt=0,
        description="seconds that a stream which can be resumed is kept without a reader",
    )
    resume_streams: int = Field(
        default=256,
        ge=1,
        description="streams that can be resumed at a time; beyond it the answer is 503",
    )
    resume_bytes: int = Field(
        default=1024 * 1024,
        ge=4096,
        description="memory for the frames of one of them: half for sent ones, half for unsent",
    )


class Events(Section):
    """The feed for dashboards at /events."""

    interval: Seconds = Field(
        default=1.0, ge=0.1, le=30, description="seconds from one snapshot to the next"
    )
    connections: int = Field(
        default=10_000,
        ge=1,
        description="dashboards that may be connected; beyond it the answer is 503",
    )


class Drain(Section):
    """The end of the process."""

    deadline: Seconds = Field(
        default=30.0,
        ge=0,
        description="seconds that running streams may go on after SIGTERM or SIGINT",
    )
    delay: Seconds = Field(
        default=0.0,
        ge=0,
        validate_default=True,
        description="of these, seconds in which new connections are accepted and answered 503",
    )

    @field_validator("delay")
    @classmethod
    def _within_deadline(cls, delay: float, info: ValidationInfo) -> float:
        """Refuse a delay that would outlast the whole drain."""
        deadline = info.data.get("deadline")
        if deadline is not None and delay > deadline:
            raise ValueError(
                f"drain.delay ({delay:g}) must not be above drain.deadline ({deadline:g})"
            )
        return delay


class Log(Section):
    """What is written to the log."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe messages that are written"
    )
    format: Literal["text", "json"] = Field(
        default="text", description="lines for people, or an object of JSON in each"
    )
    texts: bool = Field(
        default=False, description="write what is translated into the access log, too"
    )


class Metrics(Section):
    """What /metrics tells."""

    gen_ai: bool = Field(
        default=False, description="tell requests by OpenTelemetry's names for generative AI, too"
    )


class Settings(Section):
    """All settings. `Settings()` holds the defaults and reads nothing from outside."""

    server: Server = Field(default=Server())
    keys: Keys = Field(default=Keys())
    limits: Limits = Field(default=Limits())
    engine: Engine = Field(default=Engine())
    remote: Remote = Field(default=Remote())
    ray: Ray = Field(default=Ray())
    models: Models = Field(default=Models())
    translation: Translation = Field(default=Translation())
    data: Data = Field(default=Data())
    memory: Memory = Field(default=Memory())
    redis: Redis = Field(default=Redis())
    streams: Streams = Field(default=Streams())
    events: Events = Field(default=Events())
    drain: Drain = Field(default=Drain())
    log: Log = Field(default=Log())
    metrics: Metrics = Field(default=Metrics())

    @model_validator(mode="after")
    def _redis_for_the_memory(self) -> "Settings":
        if self.memory.path == "redis" and self.redis.url == "none":
            raise ValueError("memory.path (redis) needs redis.url, which is none")
        return self
