"""Search: resources of a kind by their members, tags and metrics, with nested expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.utils import parse_timestamp

from localaws import kinds, resources
from localaws.errors import NotBuilt, ValidationException
from localaws.gateway import Operation, Request
from localaws.plane import Plane
from localaws.resources import Kind
from localaws.store import Body, Resource

# What can be searched: the request's word, the kind, and the member of a result that holds one.
SEARCHED: Mapping[str, tuple[Kind, str]] = {
    "TrainingJob": (kinds.TRAINING_JOB, "TrainingJob"),
    "HyperParameterTuningJob": (kinds.TUNING_JOB, "HyperParameterTuningJob"),
    "Experiment": (kinds.EXPERIMENT, "Experiment"),
    "ExperimentTrial": (kinds.TRIAL, "Trial"),
    "ExperimentTrialComponent": (kinds.TRIAL_COMPONENT, "TrialComponent"),
    "Endpoint": (kinds.ENDPOINT, "Endpoint"),
    "Model": (kinds.MODEL, "Model"),
    "ModelPackage": (kinds.MODEL_PACKAGE, "ModelPackage"),
    "ModelPackageGroup": (kinds.MODEL_PACKAGE_GROUP, "ModelPackageGroup"),
    "Pipeline": (kinds.PIPELINE, "Pipeline"),
    "PipelineExecution": (kinds.PIPELINE_EXECUTION, "PipelineExecution"),
    "FeatureGroup": (kinds.FEATURE_GROUP, "FeatureGroup"),
    "ModelCard": (kinds.MODEL_CARD, "ModelCard"),
}
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda value, wanted: value == wanted,
    "NotEquals": lambda value, wanted: value != wanted,
    "GreaterThan": lambda value, wanted: value > wanted,
    "GreaterThanOrEqualTo": lambda value, wanted: value >= wanted,
    "LessThan": lambda value, wanted: value < wanted,
    "LessThanOrEqualTo": lambda value, wanted: value <= wanted,
}


def operations(_plane: Plane) -> Mapping[str, Operation]:
    return {"Search": search}


def search(request: Request) -> dict[str, Any]:
    params = request.params
    if params["Resource"] not in SEARCHED:
        raise NotBuilt("sagemaker", f"Search of {params['Resource']}")
    kind, member = SEARCHED[params["Resource"]]
    expression = params.get("SearchExpression", {})
    found = [documented(request, row) for row in request.scope.all(kind.kind)]
    wanted = [document for document in found if fits(document, expression)]
    by = params.get("SortBy", kind.modified or kind.created)

    def key(document: Body) -> tuple[bool, Any]:
        value = value_at(document, by)
        return (value is not None, value if value is not None else 0)

    page = resources.page(wanted, request, key=key, newest_first=True)
    return {**page, "Results": [_result(member, document) for document in page["Results"]]}


def _result(member: str, document: Body) -> Body:
    return {member: {**document, "Tags": resources.as_tags(document["Tags"])}}


def documented(request: Request, row: Resource) -> Body:
    return {**row.body, "Tags": request.scope.tags(row.arn)}


def fits(document: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """Whether a document fits an expression; an empty one fits all."""
    answers = [_passes(document, item) for item in expression.get("Filters", ())]
    answers += [fits(document, inner) for inner in expression.get("SubExpressions", ())]
    answers += [_nested(document, item) for item in expression.get("NestedFilters", ())]
    if not answers:
        return True
    return any(answers) if expression.get("Operator") == "Or" else all(answers)


def _nested(document: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """One entry of a list that passes all filters."""
    path = item["NestedPropertyName"]
    entries = value_at(document, path) or []
    filters = [{**inner, "Name": inner["Name"].removeprefix(f"{path}.")} for inner in item["Filters"]]
    return any(all(_passes(entry, inner) for inner in filters) for entry in entries)


def _passes(document: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    value, operator = value_at(document, item["Name"]), item.get("Operator", "Equals")
    if operator in {"Exists", "NotExists"}:
        return (value is not None) == (operator == "Exists")
    wanted = item.get("Value", "")
    if value is None:
        return operator == "NotEquals"
    if operator == "Contains":
        return wanted.lower() in str(value).lower()
    if operator == "In":
        return str(value) in wanted.split(",")
    try:
        return COMPARISONS[operator](value, _like(value, wanted))
    except (TypeError, ValueError) as error:
        raise ValidationException(f"Value {wanted!r} cannot be compared with {item['Name']}: {error}") from error


def _like(value: Any, text: str) -> Any:
    """The filter's text in the type of what it is compared with."""
    if isinstance(value, bool):
        return text.lower() == "true"
    if isinstance(value, int | float):
        return parse_timestamp(text).timestamp() if "T" in text or text.count("-") == 2 else float(text)
    return text


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """A member by its path; metrics are found by name, and keys of maps may hold dots."""
    if path.startswith("Metrics."):
        name = path.removeprefix("Metrics.")
        listed = document.get("FinalMetricDataList", ())
        return next((metric["Value"] for metric in listed if metric["MetricName"] == name), None)
    value: Any = document
    rest = path
    while rest:
        if not isinstance(value, Mapping):
            return None
        if rest in value:
            return value[rest]
        head, _, rest = rest.partition(".")
        value = value.get(head)
    return value
