"""The whole platform of one environment, composed: settings and releases in, components wired, one output out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import places
from contract.platform import OUTPUT, VERSION
from contract.release import Release, Releases
from infra import definitions
from infra.alarms import Alarms, AlarmsArgs
from infra.alerts import Alerts, AlertsArgs
from infra.card import Card, CardArgs
from infra.dashboard import Dashboard, DashboardArgs
from infra.endpoint import Endpoint, EndpointArgs
from infra.governance import Budget, FeatureGroup, Governance, GovernanceArgs
from infra.identity import Identity, IdentityArgs, Workflow
from infra.images import Images, ImagesArgs
from infra.keys import Keys, KeysArgs
from infra.monitor import Monitor, MonitorArgs
from infra.names import CONTAINERS, PURPOSES, Container, Names
from infra.network import Network, NetworkArgs
from infra.parameters import Parameters, ParametersArgs
from infra.pipeline import Pipeline, PipelineArgs
from infra.policies import Grounds, document, key
from infra.registry import Registry, RegistryArgs
from infra.runbooks import Runbooks
from infra.schedules import Schedules, SchedulesArgs
from infra.storage import Lock, Replica, Storage, StorageArgs
from infra.tracking import Tracking, TrackingArgs
from stacks.forms import plan_of
from stacks.releases import read_releases, refuse_misfit
from stacks.settings import KEY, ROOT, ModelSettings, Settings, from_text

# Alarms that start a new training when settings ask for it.
RETRAIN_ON = ("drift", "prediction_drift", "quality_loss")


def program(root: Path = ROOT) -> None:
    """The entry of every environment: read what the engine and the repository hold, then declare."""
    environment = pulumi.get_stack()
    text = pulumi.Config(KEY.partition(":")[0]).require(KEY.partition(":")[2])
    pager = pulumi.Config(KEY.partition(":")[0]).get_secret("pager")
    platform = Platform(from_text(text, environment), read_releases(environment, root), pager)
    pulumi.export(OUTPUT, platform.outputs)


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every model of an environment shares."""

    names: Names
    keys: Keys
    network: Network
    storage: Storage
    identity: Identity
    alerts: Alerts
    schedules: Schedules

    @property
    def in_network(self) -> dict[str, Any]:
        return {"subnet_ids": self.network.subnet_ids, "security_group_ids": self.network.security_group_ids}

    def surroundings(
        self, image: str, role: Any, environment: Mapping[str, Any] | None = None
    ) -> definitions.Surroundings:
        return definitions.Surroundings(image, role, self.keys.arn, environment=environment, **self.in_network)


class Platform:
    """One environment; the constructor is its table of contents."""

    def __init__(self, settings: Settings, releases: Releases, pager: pulumi.Input[str] | None = None) -> None:
        self.settings = settings
        self.releases = releases
        self.names = settings.names
        self.runbooks = Runbooks(settings.alerts.runbooks)
        self.opts = pulumi.ResourceOptions(providers=[self._provider("main", settings.region)])
        self.foundation = self._foundation(pager)
        self.images = self._images()
        self.registry = self._registry()
        self.tracking = self._tracking()
        self.models = {name: self._model(name, each) for name, each in settings.models.items()}
        self._governance()
        self.outputs = self._outputs()
        self._parameters()

    def _provider(self, name: str, region: str) -> aws.Provider:
        """The account guard: a provider that refuses any other account, and tags all it makes."""
        embedded = self.settings.cloud == "embedded"
        return aws.Provider(
            name,
            region=region,  # type: ignore[arg-type]
            allowed_account_ids=[self.settings.account],
            default_tags={"tags": self.settings.aws_tags().as_dict()},
            s3_use_path_style=embedded,
            skip_metadata_api_check=embedded,
            skip_credentials_validation=embedded,
        )

    def _foundation(self, pager: pulumi.Input[str] | None) -> Foundation:
        names, settings = self.names, self.settings
        keys = Keys(KeysArgs(names, document(key(names)), settings.protect), self.opts)
        network = self._network(keys)
        storage = self._storage(keys)
        grounds = Grounds(names, keys.arn, tuple(settings.models), tuple(network.subnet_ids))
        github = settings.identity.github
        workflow = Workflow(github.repository, github.provider_arn, github.promotes_to) if github else None
        people = {who: tuple(each) for who, each in settings.identity.people.items()}
        identity = Identity(IdentityArgs(grounds, people, workflow, settings.identity.boundary), self.opts)
        alerts = Alerts(AlertsArgs(names, keys.arn, settings.alerts.emails, pager or settings.alerts.pager), self.opts)
        schedules = Schedules(SchedulesArgs(names), self.opts)
        return Foundation(names, keys, network, storage, identity, alerts, schedules)

    def _network(self, keys: Keys) -> Network:
        given = self.settings.network
        return Network(
            NetworkArgs(
                names=self.names,
                key_arn=keys.arn,
                kind=given.kind,
                cidr=given.cidr,
                zones=given.zones,
                subnet_ids=given.subnet_ids,
                security_group_ids=given.security_group_ids,
                flow_log_days=given.flow_log_days,
                protect=self.settings.protect,
            ),
            self.opts,
        )

    def _storage(self, keys: Keys) -> Storage:
        given = self.settings.storage
        replica = None
        if given.replica_region is not None:
            replica = Replica(given.replica_region, self._provider("replica", given.replica_region))
        return Storage(
            StorageArgs(
                names=self.names,
                key_arn=keys.arn,
                tls_only=given.tls_only,
                empty_on_destroy=given.empty_on_destroy,
                old_versions_days=given.old_versions_days,
                expiry_days={"capture": given.capture_days},
                lock=Lock(given.evidence_lock.mode, given.evidence_lock.days) if given.evidence_lock else None,
                replica=replica,
                protect=self.settings.protect,
            ),
            self.opts,
        )

    def _images(self) -> Images:
        storage, images = self.settings.storage, self.settings.images
        args = ImagesArgs(
            self.names, self.foundation.keys.arn, images.pull_accounts, storage.empty_on_destroy, self.settings.protect
        )
        return Images(args, self.opts)

    def _registry(self) -> Registry:
        accounts = self.settings.images.pull_accounts
        return Registry(
            RegistryArgs(self.names, tuple(self.settings.models), accounts, self.settings.protect), self.opts
        )

    def _tracking(self) -> Tracking | None:
        given = self.settings.tracking
        if given.kind in ("none", "nowhere"):
            return None
        role = self.foundation.identity.arns["training"]
        return Tracking(
            TrackingArgs(self.names, given.kind, given.size, role, self.names.bucket("artifacts")), self.opts
        )

    @property
    def logged_at(self) -> Any:
        """Where runs are logged; nothing when each keeps a file of its own."""
        nowhere = places.TRACKING_OFF if self.settings.tracking.kind == "nowhere" else None
        return self.tracking.arn if self.tracking else nowhere

    def image(self, container: Container) -> str:
        """The image by digest: settings give the digest alone or the whole address."""
        given = getattr(self.settings.images, container)
        return self.names.image(container, given) if given.startswith("sha256:") else given

    def _model(self, name: str, given: ModelSettings) -> ModelParts:
        return ModelParts(self, name, given, self.releases.models.get(name))

    def _governance(self) -> None:
        given, shared = self.settings.governance, self.foundation
        groups = {
            name: FeatureGroup(each.record_id, each.event_time, each.features, each.online)
            for name, each in given.feature_groups.items()
        }
        args = GovernanceArgs(
            names=self.names,
            key_arn=shared.keys.arn,
            trail=given.trail,
            log_days=given.log_days,
            budget=Budget(given.budget.monthly_usd, given.budget.stops_training) if given.budget else None,
            anomaly_usd=given.anomaly_usd,
            feature_groups=groups,
            feature_role_arn=shared.identity.arns["training"],
            training_role_name=shared.identity.workloads["training"].name,
            topic_arn=shared.alerts.alerts.arn,
            audited_buckets=[self.names.bucket(each) for each in ("capture", "evidence")],
            ready=[*shared.storage.closed, *shared.identity.policies, *shared.alerts.policies],
        )
        Governance(args, self.opts)

    def _outputs(self) -> dict[str, Any]:
        shared = self.foundation
        return {
            "version": VERSION,
            "environment": self.settings.environment,
            "account": self.settings.account,
            "region": self.settings.region,
            "key_arn": shared.keys.arn,
            "buckets": {each: shared.storage.buckets[each].bucket for each in PURPOSES},
            "roles": dict(shared.identity.arns),
            "repositories": dict(self.images.urls),
            "images": {each: self.image(each) for each in CONTAINERS},
            "topics": {"alerts": shared.alerts.alerts.arn, "approvals": shared.alerts.approvals.arn},
            "models": {name: each.outputs for name, each in self.models.items()},
            "tracking_arn": self.tracking.arn if self.tracking else None,
        }

    def _parameters(self) -> None:
        Parameters(ParametersArgs(self.names, self.outputs), self.opts)


class ModelParts:
    """Everything of one model: how it is trained, served, watched and shown."""

    def __init__(self, platform: Platform, name: str, given: ModelSettings, release: Release | None) -> None:
        self.platform = platform
        self.shared = platform.foundation
        self.names = platform.names
        self.name = name
        self.given = given
        self.release = release
        if release is not None:
            refuse_misfit(name, given.serving, release)
        self.alarms = self._alarms()
        self.pipeline = self._pipeline()
        self.endpoint = self._endpoint()
        self.monitor = self._monitor()
        self._dashboard()
        self._card()
        self.outputs = self._outputs()

    @property
    def variants(self) -> list[str]:
        return [each.name for each in self.release.variants] if self.release else []

    def _pipeline(self) -> Pipeline:
        training = self.given.training
        data = self.given.data or f"s3://{self.names.bucket('data')}/{self.name}/"
        logged = self.platform.logged_at
        environment = {places.TRACKING_URI: logged} if logged is not None else None
        definition = definitions.Training(
            group=self.names.package_group(self.name),
            data_uri=data,
            artifacts_uri=f"s3://{self.names.bucket('artifacts')}/runs/{self.name}",
            hyperparameters={"family": self.given.family, "target": self.given.target, **training.hyperparameters},
            machine=definitions.Machine(
                training.instance, training.instances, training.volume_gb, training.at_most_minutes, training.spot
            ),
            surroundings=self.shared.surroundings(
                self.platform.image("training"), self.shared.identity.arns["training"], environment
            ),
            serving_image=self.platform.image("inference"),
            judging=self.shared.surroundings(
                self.platform.image("monitoring"), self.shared.identity.arns["monitoring"]
            ),
            baselines_uri=f"s3://{self.names.bucket('artifacts')}/{places.baselines_prefix(self.name)}",
            floors=training.floors,
        )
        causes = [key for key in RETRAIN_ON if self.alarms.named(key)] if training.on_drift else []
        retrain = [each for key in causes for each in self.alarms.named(key)]
        args = PipelineArgs(
            names=self.names,
            model=self.name,
            training=definition,
            pipeline_role_arn=self.shared.identity.arns["pipeline"],
            scheduler_role_arn=self.shared.identity.arns["scheduler"],
            events_role_arn=self.shared.identity.arns["events"],
            key_arn=self.shared.keys.arn,
            schedule_group=self.shared.schedules.group,
            schedule=training.schedule,
            retrain_signals=causes,
            retrain_alarms=retrain,
            retrain_on=[self.alarms.alarms[each] for each in retrain],
            cool_down_hours=training.cool_down_hours,
            ready=[self.platform.registry.groups[self.name], *self.shared.identity.policies],
            runbooks=self.platform.runbooks,
        )
        return Pipeline(args, self.platform.opts)

    def _endpoint(self) -> Endpoint | None:
        if self.release is None:
            return None
        args = EndpointArgs(
            plan=plan_of(self.platform.settings, self.name, self.release),
            role_arn=self.shared.identity.arns["inference"],
            key_arn=self.shared.keys.arn,
            capture_bucket=self.names.bucket("capture"),
            subnet_ids=self.shared.network.subnet_ids,
            security_group_ids=self.shared.network.security_group_ids,
            thresholds=self.given.thresholds,
            topic_arn=self.shared.alerts.alerts.arn,
            ready=[*self.shared.identity.policies, *self.shared.storage.versioning],
            runbooks=self.platform.runbooks,
        )
        return Endpoint(args, self.platform.opts)

    def _alarms(self) -> Alarms:
        args = AlarmsArgs(
            names=self.names,
            model=self.name,
            variants=self.variants,
            experiment=self.release.experiment if self.release else None,
            monitored=self.given.monitor is not None,
            has_instances=self.given.serving.form != "serverless",
            thresholds=self.given.thresholds,
            silent=self.given.silent,
            topic_arn=self.shared.alerts.alerts.arn,
            runbooks=self.platform.runbooks,
        )
        return Alarms(args, self.platform.opts)

    def _monitor(self) -> Monitor | None:
        given = self.given.monitor
        if given is None or self.release is None:
            return None
        definition = definitions.Monitor(
            endpoint=self.names.endpoint(self.name),
            model=self.name,
            experiment=self.release.experiment,
            capture_bucket=self.names.bucket("capture"),
            outcomes_bucket=self.names.bucket("outcomes"),
            artifacts_bucket=self.names.bucket("artifacts"),
            machine=definitions.Machine(given.instance, given.instances, 30, given.at_most_minutes),
            surroundings=self.shared.surroundings(
                self.platform.image("monitoring"), self.shared.identity.arns["monitoring"]
            ),
            quality={str(measure): value for measure, value in given.quality.items()},
            slices=given.slices,
        )
        args = MonitorArgs(
            names=self.names,
            model=self.name,
            monitor=definition,
            schedule=given.schedule,
            pipeline_role_arn=self.shared.identity.arns["pipeline"],
            scheduler_role_arn=self.shared.identity.arns["scheduler"],
            key_arn=self.shared.keys.arn,
            schedule_group=self.shared.schedules.group,
            ready=self.shared.identity.policies,
        )
        return Monitor(args, self.platform.opts)

    def _dashboard(self) -> None:
        experiment = self.release.experiment if self.release else None
        Dashboard(DashboardArgs(self.names, self.name, self.variants, experiment), self.platform.opts)

    def _card(self) -> None:
        given = self.given.card
        if given is None:
            return
        args = CardArgs(
            names=self.names,
            model=self.name,
            key_arn=self.shared.keys.arn,
            purpose=given.purpose,
            uses=given.uses,
            owner=self.platform.settings.tags.owner,
            risk=given.risk,
            why_this_risk=given.why_this_risk,
        )
        Card(args, self.platform.opts)

    def _outputs(self) -> dict[str, Any]:
        return {
            "package_group": self.platform.registry.groups[self.name].model_package_group_name,
            "training_pipeline": self.pipeline.pipeline.pipeline_name,
            "promotion_pipeline": self.pipeline.promotion.pipeline_name,
            "monitor_pipeline": self.monitor.pipeline.pipeline_name if self.monitor else None,
            "endpoint": self.endpoint.endpoint.name if self.endpoint else None,
            "dashboard": self.names.dashboard(self.name),
            "alarms": [each.name for each in self.alarms.specs],
        }
