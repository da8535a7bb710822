"""An environment's settings, typed and frozen: read once from `Pulumi.<environment>.yaml`, wrong ones refused together.

Each refusal says where (the YAML path), what was given, what was expected and what to do.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import override

from contract.signals import BY_KEY
from contract.stages import METRICS
from infra.names import Names, NamingError, Person
from infra.prices import types
from infra.runbooks import FOLDER, LONGEST
from infra.tags import TagError, Tags

ROOT = Path(__file__).resolve().parent.parent
KEY = "slipway:platform"
PROJECT_FILE = "Pulumi.yaml"

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/[a-z0-9/_.-]+@sha256:[0-9a-f]{64}"
)
S3_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/\S+")
CRON = re.compile(r"(cron\(\S+ \S+ \S+ \S+ \S+ \S+\)|rate\(\d+ (minute|minutes|hour|hours|day|days)\))")
PUBLISHED = re.compile(r"https?://\S+|[\w.-]+(/[\w.-]+)*/?")
ARN = re.compile(r"arn:aws:(iam|sts)::\d{12}:(root|role/.+|user/.+)")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
URI = re.compile(r"https://\S+")


class SettingsError(Exception):
    """An environment's settings cannot be used; the text lists every mistake with its place and remedy."""


def refuse(given: object, expected: str, remedy: str) -> ValueError:
    return ValueError(f"given {given!r}, expected {expected}. {remedy}")


# Values that YAML likes to misread ----------------------------------------------------------------


def account_text(given: object) -> object:
    if isinstance(given, int) and not isinstance(given, bool):
        raise refuse(given, "an account id in quotes", "YAML reads bare digits as a number and loses leading zeros.")
    if not isinstance(given, str) or not re.fullmatch(r"\d{12}", given):
        raise refuse(given, "twelve digits in quotes", "The account id stands at the top right of the AWS console.")
    return given


def true_or_false(given: object) -> object:
    if not isinstance(given, bool):
        raise refuse(given, "true or false without quotes", "Text such as 'false' would count as true elsewhere.")
    return given


def region_text(given: object) -> object:
    if not isinstance(given, str) or not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", given):
        raise refuse(given, "a region such as eu-west-1", "Use the code, not the city.")
    return given


def model_name(given: object) -> object:
    if not isinstance(given, str) or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", given) or len(given) > 24:
        raise refuse(
            given,
            "at most 24 lower-case letters, digits and single hyphens, beginning with a letter",
            "SageMaker refuses underscores, and names grow by environment and content hash.",
        )
    return given


def image_digest(given: object) -> object:
    if not isinstance(given, str) or not (DIGEST.fullmatch(given) or IMAGE.fullmatch(given)):
        raise refuse(
            given,
            "a digest (sha256:...) or an ECR image by digest",
            "A tag such as ':latest' can change under a running endpoint; CI prints the digest when it pushes.",
        )
    return given


def s3_uri(given: object) -> object:
    if not isinstance(given, str) or not S3_URI.fullmatch(given):
        raise refuse(given, "s3://bucket/prefix", "A bucket without a prefix would take everything in it.")
    return given


def region_in(uri: str) -> str | None:
    """The region a bucket's name ends with, as ours do; nothing when the name says none."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    found = re.search(r"-((?:af|ap|ca|eu|il|me|mx|sa|us)(?:-[a-z]+)+-\d)$", bucket)
    return found[1] if found else None


def cron(given: object) -> object:
    if not isinstance(given, str) or not CRON.fullmatch(given):
        raise refuse(
            given,
            "cron(minute hour day month weekday year) or rate(n hours)",
            "EventBridge Scheduler reads six fields.",
        )
    return given


def principal(given: object) -> object:
    if not isinstance(given, str) or not ARN.fullmatch(given):
        raise refuse(given, "the ARN of a role, user or account", "For example arn:aws:iam::123456789012:role/sso-ops.")
    return given


def email(given: object) -> object:
    if not isinstance(given, str) or not EMAIL.fullmatch(given):
        raise refuse(given, "an e-mail address", "Phone numbers and chat go through a subscription of their own.")
    return given


def runbooks_address(given: object) -> object:
    if not isinstance(given, str) or not PUBLISHED.fullmatch(given) or len(given) > LONGEST:
        raise refuse(
            given,
            f"an https address or a folder of the repository, at most {LONGEST} characters",
            "Each runbook's file name is put behind it: https://github.com/your-organisation/slipway/blob/main/docs/runbooks.",
        )
    return given.rstrip("/")


def serving_type(given: object) -> object:
    return instance(given, types("endpoint"), "an endpoint")


def training_type(given: object) -> object:
    return instance(given, types("job"), "a training or processing job")


def instance(given: object, known: frozenset[str], use: str) -> object:
    if given not in known:
        near = difflib.get_close_matches(str(given), known, n=3)
        raise refuse(
            given,
            f"an instance type priced for {use}",
            f"It must be in infra/prices.csv. Near: {', '.join(near) or 'none'}.",
        )
    return given


def signal_key(given: object) -> object:
    watched = [key for key, each in BY_KEY.items() if each.watch is not None]
    if given not in watched:
        near = difflib.get_close_matches(str(given), watched, n=1)
        raise refuse(given, "a watched signal", f"Nearest: {near[0]}." if near else f"Known: {', '.join(watched)}.")
    return given


def metric_name(given: object) -> object:
    if given not in METRICS:
        near = difflib.get_close_matches(str(given), METRICS, n=1)
        raise refuse(
            given, "a metric of the evaluation", f"Nearest: {near[0]}." if near else f"Known: {', '.join(METRICS)}."
        )
    return given


Account = Annotated[str, BeforeValidator(account_text)]
Flag = Annotated[bool, BeforeValidator(true_or_false)]
Region = Annotated[str, BeforeValidator(region_text)]
ModelName = Annotated[str, BeforeValidator(model_name)]
Image = Annotated[str, BeforeValidator(image_digest)]
S3Uri = Annotated[str, BeforeValidator(s3_uri)]
Cron = Annotated[str, BeforeValidator(cron)]
Principal = Annotated[str, BeforeValidator(principal)]
Email = Annotated[str, BeforeValidator(email)]
RunbooksAddress = Annotated[str, BeforeValidator(runbooks_address)]
ServingType = Annotated[str, BeforeValidator(serving_type)]
TrainingType = Annotated[str, BeforeValidator(training_type)]
Metric = Annotated[str, BeforeValidator(metric_name)]
SignalKey = Annotated[str, BeforeValidator(signal_key)]
QualityMeasure = Literal["accuracy", "f1", "auc", "log_loss", "brier", "calibration_error", "rmse", "mae"]
Days = Annotated[int, Field(ge=1, le=3653)]


class Strict(BaseModel):
    """A frozen group of settings that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# Groups, in the order of the file -----------------------------------------------------------------


class TagSettings(Strict):
    owner: str
    """Who answers for what is made."""
    cost_center: str
    """Who pays for it."""
    data_class: Literal["public", "internal", "confidential", "restricted"] = "confidential"
    """How secret what it holds is."""
    extra: dict[str, str] = {}
    """Further tags of your own, by name."""


class EvidenceLock(Strict):
    mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"
    """Whether a person with rights may lift the lock (`GOVERNANCE`), or nobody (`COMPLIANCE`)."""
    days: Days = 365
    """How long evidence and ledger can be neither changed nor deleted."""


class StorageSettings(Strict):
    tls_only: Flag = True
    """Refuse requests to buckets that are not encrypted on the way."""
    empty_on_destroy: Flag = False
    """Let `slipway down` empty buckets and repositories that hold something."""
    old_versions_days: Days | None = 90
    """How long overwritten and deleted objects are kept; null keeps them."""
    capture_days: Days = 90
    """How long captured requests and answers are kept."""
    evidence_lock: EvidenceLock | None = EvidenceLock()
    """The object lock on the evidence bucket; null for none."""
    replica_region: Region | None = None
    """The region evidence is copied to; null for no copy."""


class NetworkSettings(Strict):
    kind: Literal["none", "create", "existing"] = "create"
    """Make a network, use one that exists, or none."""
    cidr: str = "10.64.0.0/20"
    """The addresses of a network that is made."""
    zones: Annotated[int, Field(ge=2, le=4)] = 2
    """In how many availability zones it has subnets."""
    subnet_ids: list[str] = []
    """The private subnets of an existing network."""
    security_group_ids: list[str] = []
    """The security groups workloads have in an existing network."""
    flow_log_days: Days = 365
    """How long flow logs are kept."""

    @model_validator(mode="after")
    def existing_is_complete(self) -> Self:
        if self.kind == "existing" and not (self.subnet_ids and self.security_group_ids):
            raise refuse(
                {"subnet_ids": self.subnet_ids, "security_group_ids": self.security_group_ids},
                "both lists for an existing network",
                "List private subnets in two zones and the group workloads run in, or use kind: create.",
            )
        return self


class GithubSettings(Strict):
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Whose workflows may become the roles of CI: `organisation/repository`."""
    provider_arn: str | None = None
    """The account's OIDC provider for GitHub; null makes one."""
    promotes_to: Annotated[str, Field(pattern=r"^\w+$")] | None = None
    """The environment whose promotion may read what serves here."""


class IdentitySettings(Strict):
    people: dict[Person, list[Principal]] = {}
    """Who may become the role of a kind of person."""
    github: GithubSettings | None = None
    """CI on GitHub; null for none."""
    boundary: Flag = True
    """Keep every role inside a permissions boundary."""


class ImageSettings(Strict):
    training: Image
    """The training container."""
    inference: Image
    """The serving container."""
    monitoring: Image
    """The monitor's container."""
    pull_accounts: list[Account] = []
    """Accounts that may pull images and read model versions, to promote them."""


class AlertSettings(Strict):
    emails: list[Email] = []
    """Who is told of alarms and of versions that wait for a yes."""
    page_by_email_alone: Flag = False
    """Say that e-mail without a pager is meant, in a protected environment."""
    pager: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    """The https address of a paging service that alarms are sent to."""
    runbooks: RunbooksAddress = FOLDER
    """Where the runbooks are published: alarms name each page below it."""


class BudgetSettings(Strict):
    monthly_usd: Annotated[float, Field(gt=0, strict=False)]
    """What the environment may cost a month."""
    blocks_preview: Flag = True
    """Refuse a change whose highest cost is above it."""
    stops_training: Flag = False
    """When it is spent, let the training role start nothing more; what serves goes on."""


class FeatureGroupSettings(Strict):
    record_id: str
    """The feature that identifies a record."""
    event_time: str = "event_time"
    """The feature that says when it was so."""
    features: dict[str, Literal["String", "Fractional", "Integral"]]
    """Every feature and its type."""
    online: Flag = False
    """Keep an online store too."""


class GovernanceSettings(Strict):
    trail: Flag = True
    """Write down every call to the account, in a trail of CloudTrail."""
    log_days: Days = 365
    """How long logs are kept."""
    budget: BudgetSettings | None = None
    """A budget with its consequences; null for none."""
    anomaly_usd: Annotated[float, Field(gt=0, strict=False)] | None = None
    """Tell people of unusual cost above this many dollars; null for no watch."""
    feature_groups: dict[ModelName, FeatureGroupSettings] = {}
    """Feature groups of the feature store, by name."""


class TrackingSettings(Strict):
    kind: Literal["nowhere", "none", "server", "app"] = "none"  # none: into a file of the run's own
    """Where runs are logged: a file of each run (`none`), nowhere, a tracking server or an MLflow app."""
    size: Literal["Small", "Medium", "Large"] = "Small"
    """How large a tracking server is."""


class TrainingSettings(Strict):
    instance: TrainingType = "ml.m5.large"
    """What a training or tuning job runs on."""
    instances: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of them."""
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 30
    """The disk of each."""
    at_most_minutes: Annotated[int, Field(ge=1, le=40320)] = 60
    """When a training job is stopped."""
    spot: Flag = False
    """Train on spare capacity, which costs less and may be interrupted."""
    schedule: Cron | None = None
    """When a run is started by the clock; null for never."""
    on_drift: Flag = False
    """Start a run when drift or lost quality raises its alarm."""
    floors: dict[Metric, Annotated[float, Field(strict=False)]] = {}
    """What a model has to reach to be registered at all, by metric."""
    cool_down_hours: Annotated[int, Field(ge=1, le=168)] = 24  # CloudWatch looks back a week at most
    """How long alarms start no other run after a run of any cause; CloudWatch looks back a week at most."""
    hyperparameters: dict[str, str] = {}
    """What the family is told, by name; `slipway run --set` overrides it for one run."""


class ScheduledScale(Strict):
    at: Cron
    """When these bounds begin to hold."""
    least: Annotated[int, Field(ge=0)]
    """Instances at the least from then on."""
    most: Annotated[int, Field(ge=1)]
    """Instances at the most from then on."""


class ScalingSettings(Strict):
    least: Annotated[int, Field(ge=0)] = 2
    """Instances at the least; 0 only for a queue (`form: async`)."""
    most: Annotated[int, Field(ge=1)] = 4
    """Instances at the most."""
    requests_per_instance: Annotated[float, Field(gt=0, strict=False)] = 1000.0
    """Requests a minute that one instance should have; of a queue, the backlog for each."""
    schedule: dict[ModelName, ScheduledScale] = {}
    """Other bounds at certain times, by name."""

    @model_validator(mode="after")
    def least_is_not_above_most(self) -> Self:
        if self.least > self.most:
            raise refuse(f"least {self.least}, most {self.most}", "least at most equal to most", "Swap them?")
        return self


class ServingSettings(Strict):
    form: Literal["realtime", "serverless", "async"] = "realtime"
    """How it is asked: at once, at once without standing instances, or by a queue."""
    instance: ServingType = "ml.m5.large"
    """What a variant runs on."""
    scaling: ScalingSettings | None = ScalingSettings()
    """How instances follow load; null keeps their number."""
    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    """The memory of a serverless variant."""
    concurrency: Annotated[int, Field(ge=1, le=200)] = 5
    """Requests at a time: of a serverless variant, or of an instance that serves a queue."""
    capture_percent: Annotated[int, Field(ge=0, le=100)] = 100
    """The share of requests and answers that is kept for the monitor."""
    isolated: Flag = True
    """Cut the container off from every network."""
    environment: dict[str, str] = {}
    """Variables of the container; a secret goes by its ARN."""

    @model_validator(mode="after")
    def form_fits(self) -> Self:
        if self.form == "serverless":
            if self.isolated or self.capture_percent:
                raise refuse(
                    f"isolated: {self.isolated}, capture_percent: {self.capture_percent}",
                    "isolated: false and capture_percent: 0 with form: serverless",
                    "Serverless endpoints have no isolation, VPC or data capture; say so, or use realtime.",
                )
            if self.scaling is not None:
                raise refuse("scaling", "scaling: null with form: serverless", "Serverless scales by itself.")
        if self.form == "realtime" and self.scaling is not None and self.scaling.least == 0:
            raise refuse(
                "least: 0", "least of 1 or more for realtime", "Scale to zero needs form: async or serverless."
            )
        return self


class MonitorSettings(Strict):
    schedule: Cron = "cron(5 * * * ? *)"
    """When windows are judged."""
    instance: TrainingType = "ml.m5.large"
    """What the monitor's job runs on."""
    instances: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of them share a window."""
    at_most_minutes: Annotated[int, Field(ge=1, le=1440)] = 50
    """When the monitor's job is stopped."""
    quality: dict[QualityMeasure, Annotated[float, Field(strict=False)]] = {}
    """What known outcomes must show at least, by measure; `rmse` and `mae` at most."""
    slices: list[Annotated[str, Field(min_length=1)]] = []
    """Columns whose values must each keep that quality too."""


class CardSettings(Strict):
    purpose: str
    """What the model is for."""
    uses: str
    """What it may be used for."""
    risk: Literal["Low", "Medium", "High", "Unknown"] = "Unknown"
    """How much depends on it."""
    why_this_risk: str = ""
    """Why that much."""


class ModelSettings(Strict):
    family: str
    """What kind of model it is: the name of a file in `families/`."""
    data: S3Uri | None = None
    """Where scheduled runs find their rows; null for the environment's own bucket."""
    target: str
    """The column that is predicted."""
    training: TrainingSettings = TrainingSettings()
    """How it is trained."""
    serving: ServingSettings = ServingSettings()
    """How it is served."""
    monitor: MonitorSettings | None = MonitorSettings()
    """How live traffic is judged; null for no monitor."""
    thresholds: dict[SignalKey, Annotated[float, Field(strict=False)]] = {}
    """Thresholds of alarms where they differ from [the table](../signals.md), by signal."""
    silent: list[SignalKey] = []
    """Signals that raise no alarm."""
    card: CardSettings | None = None
    """A model card of SageMaker; null for none."""

    @model_validator(mode="after")
    def monitored_traffic_is_captured(self) -> Self:
        if self.monitor is not None and self.serving.capture_percent == 0:
            raise refuse(
                "capture_percent: 0 with a monitor",
                "monitor: null, or a capture_percent above 0",
                "The monitor judges captured requests; without any it would only say that it saw none.",
            )
        return self


class Settings(Strict):
    """All of one environment."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")]
    """Not written in the file: its name says it."""
    account: Account
    """The only account that is ever touched."""
    region: Region
    """Where everything stands."""
    cloud: Literal["aws", "embedded"] = "aws"
    """AWS itself, or the embedded one on this machine."""
    protect: Flag = False
    """Refuse to remove what holds data, and ask for a pager and a network."""
    state_bucket: str | None = None
    """The bucket that holds Terraform's state; null keeps it in the checkout."""
    tags: TagSettings
    """What every resource is tagged with."""
    storage: StorageSettings = StorageSettings()
    """Buckets."""
    network: NetworkSettings = NetworkSettings()
    """Where workloads run."""
    identity: IdentitySettings = IdentitySettings()
    """Who may do what."""
    images: ImageSettings
    """The three containers, each by digest."""
    alerts: AlertSettings = AlertSettings()
    """How people are told."""
    governance: GovernanceSettings = GovernanceSettings()
    """Trail, logs, budget, features."""
    tracking: TrackingSettings = TrackingSettings()
    """Where runs are logged."""
    models: dict[ModelName, ModelSettings] = {}
    """The models, by name."""

    @model_validator(mode="after")
    def parts_fit_together(self) -> Self:
        problems = [str(each) for each in self.misfits()]
        if problems:
            raise ValueError("\n  ".join(problems))
        return self

    def misfits(self) -> Iterator[ValueError]:
        """What is right alone and wrong together."""
        for container in ("training", "inference", "monitoring"):
            found = IMAGE.fullmatch(getattr(self.images, container))
            if found and found["region"] != self.region:
                yield refuse(
                    f"images.{container} in {found['region']}",
                    f"an image in {self.region}",
                    "SageMaker pulls from its own region only; replicate the repository.",
                )
        if self.protect and self.alerts.emails and not self.alerts.pager and not self.alerts.page_by_email_alone:
            yield refuse(
                f"alerts.emails {self.alerts.emails}",
                "a pager (https) in a protected environment",
                "E-mail alone wakes nobody; set alerts.pager, or page_by_email_alone: true if that is meant.",
            )
        if self.network.kind == "none" and self.cloud == "aws" and self.protect:
            yield refuse("network.kind: none", "create or existing", "A protected environment runs models in a VPC.")
        for name, model in self.models.items():
            elsewhere = region_in(model.data or "")
            if elsewhere not in (None, self.region):
                yield refuse(
                    f"models.{name}.data {model.data}",
                    f"a bucket in {self.region}",
                    "SageMaker reads training data in its own region only; replicate the bucket.",
                )
        if self.storage.replica_region == self.region:
            yield refuse(
                f"storage.replica_region {self.region}", "another region", "A copy beside the original is none."
            )
        try:
            self.aws_tags()
            for model in self.models:
                self.names.endpoint_config(model, "00000000")
                self.names.model(model, "challenger", "00000000")
            self.names.bucket("artifacts")
        except (TagError, NamingError) as problem:
            yield ValueError(str(problem))

    @property
    def names(self) -> Names:
        return Names(self.environment, self.account, self.region)

    def aws_tags(self) -> Tags:
        given = self.tags
        return Tags(
            environment=self.environment,
            owner=given.owner,
            cost_center=given.cost_center,
            data_class=given.data_class,
            extra=tuple(sorted(given.extra.items())),
        )


# Reading ------------------------------------------------------------------------------------------


def environments(root: Path = ROOT) -> list[str]:
    """The environments this repository knows, by their files."""
    return sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml"))


def load(environment: str, root: Path = ROOT) -> Settings:
    """The settings of an environment, from its file."""
    path = root / f"Pulumi.{environment}.yaml"
    if not path.exists():
        known = environments(root)
        near = difflib.get_close_matches(environment, known, n=1)
        raise SettingsError(
            f"there is no environment '{environment}': no file {path.name}."
            + (f" Did you mean '{near[0]}'?" if near else "")
            + f" Known: {', '.join(known)}. docs/howto/add-an-environment.md says how to make one."
        )
    config = read(path).get("config")
    platform = config.get(KEY) if isinstance(config, Mapping) else None
    if not isinstance(platform, Mapping):
        raise SettingsError(
            f"{path.name}: given {platform!r} under `config: {KEY}:`, expected all settings below that key, as in "
            "Pulumi.local.yaml. Nothing was changed."
        )
    return parse(platform, environment, path.name)


class OneOfEachKey(yaml.SafeLoader):
    """YAML lets the last of two equal keys win without a word; here the second is refused."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"'{key.value}' stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Mapping[str, Any]:
    """A stack's file as it stands."""
    try:
        document = yaml.load(path.read_text(), OneOfEachKey)  # noqa: S506 - it is a safe loader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(
            f"{path.name}{line}: {problem.problem}; expected YAML with each key once. Mind the indentation there. "
            "Nothing was changed."
        ) from None
    if not isinstance(document, Mapping):
        raise SettingsError(f"{path.name}: given {document!r}, expected `config:` with settings. Nothing was changed.")
    return document


def from_text(text: str, environment: str) -> Settings:
    """The settings as the engine hands them to the program: one JSON document."""
    return parse(json.loads(text), environment, f"Pulumi.{environment}.yaml")


def parse(given: Mapping[str, Any], environment: str, where: str) -> Settings:
    """Settings, or one error that lists every mistake."""
    try:
        return Settings.model_validate({**given, "environment": environment})
    except ValidationError as problem:
        lines = [described(dict(each)) for each in problem.errors()]
        raise SettingsError(
            f"{where}: {len(lines)} mistake{'s' if len(lines) > 1 else ''}, nothing was changed.\n"
            + "\n".join(f"  {line}" for line in lines)
        ) from None


def described(error: dict[str, Any]) -> str:
    """One mistake of pydantic's list as a sentence with its YAML path."""
    path = ".".join(("config", KEY, *(str(part) for part in error["loc"] if part != "[key]")))
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{path}: unknown setting. {nearest_setting(error['loc'])}"
    if kind == "missing":
        return f"{path}: missing. Expected a value; it has no default because only you can know it."
    if kind == "value_error":
        return f"{path}: {error['ctx']['error']}"
    remedy = "Correct it or leave it out to take the default."
    return f"{path}: given {error['input']!r}, expected: {error['msg'].lower()}. {remedy}"


def nearest_setting(location: tuple[Any, ...]) -> str:
    known = list(fields_at(Settings, location[:-1]))
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(known)}."


def fields_at(group: type[BaseModel], location: tuple[Any, ...]) -> Iterator[str]:
    """The settings that exist below a place."""
    for part in location:
        inner = group.model_fields.get(str(part))
        nested = list(groups_in(inner.annotation)) if inner is not None else [group]
        if not nested:
            return
        group = nested[0]
    yield from group.model_fields


def groups_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of settings an annotation can hold, however wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in getattr(annotation, "__args__", ()):
        yield from groups_in(each)


__all__ = ["Settings", "SettingsError", "environments", "from_text", "load", "parse"]
