"""Field types of requests and responses, with their limits."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
)

MAX_K = 1_000
MAX_OFFSET = 10_000  # Milvus limits k + offset to 16,384
MAX_EFFORT = 16_384
MAX_EMBED = 64  # items in one request; 64 images take some seconds on two cores
MAX_TAGS = 100  # labels in one request
MAX_TERMS, MAX_QUERIES, MAX_FIELDS, MAX_IDS, MAX_URLS = 16, 32, 32, 1_000, 1_000

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
NewId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
]  # "." and "..", which URL normalization removes, are excluded
CollectionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
# no control characters, because the catalog sorts by these strings and the page shows them
Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=r"\S")]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
_Whole = Annotated[
    StrictInt, Field(ge=-(2**53), le=2**53)
]  # every JSON parser represents these exactly
_Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Letters = Annotated[StrictStr, StringConstraints(max_length=2_000)]
Fields = Annotated[
    dict[_Name, _Letters | StrictBool | _Whole | _Real | list[_Letters]],
    Field(max_length=MAX_FIELDS),
]
Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Score = Annotated[float, Field(allow_inf_nan=False)]

CAT = "0f3c9a1e5b7d4c2a8e6f1b0d9c7a5e3f"  # an id in examples


def one_of(*names: str) -> Any:
    """Return JSON schema alternatives that require exactly one of the fields to be non-null."""
    return [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]


class RequestBody(BaseModel):
    """A JSON object of a request. Unknown keys are rejected, because they may be misspelled."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ResponseBody(BaseModel):
    """A JSON object of a response, immutable. Unknown keys of a newer service are ignored.

    A field with a default is one that an older service may omit.
    """

    model_config = ConfigDict(
        frozen=True, protected_namespaces=(), json_schema_serialization_defaults_required=True
    )
