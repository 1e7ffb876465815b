"""Messages of the Open Inference Protocol, of health checks (grpc.health.v1) and of error details (google.rpc)."""

from lightning_app.serving.grpc.message_pool import Field, MessagePool

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"

_PARAMETER = "inference.InferParameter"
_CONTENTS = "inference.InferTensorContents"
_TENSOR = (
    Field("name", 1, "string"),
    Field("datatype", 2, "string"),
    Field("shape", 3, "int64", "many"),
    Field("parameters", 4, _PARAMETER, "map"),
    Field("contents", 5, _CONTENTS),
)
_MODEL = (Field("name", 1, "string"), Field("version", 2, "string"))
_INFERENCE = {
    "InferParameter": (
        Field("bool_param", 1, "bool", choice="parameter_choice"),
        Field("int64_param", 2, "int64", choice="parameter_choice"),
        Field("string_param", 3, "string", choice="parameter_choice"),
        Field("double_param", 4, "double", choice="parameter_choice"),
        Field("uint64_param", 5, "uint64", choice="parameter_choice"),
    ),
    "InferTensorContents": (
        Field("bool_contents", 1, "bool", "many"),
        Field("int_contents", 2, "int32", "many"),
        Field("int64_contents", 3, "int64", "many"),
        Field("uint_contents", 4, "uint32", "many"),
        Field("uint64_contents", 5, "uint64", "many"),
        Field("fp32_contents", 6, "float", "many"),
        Field("fp64_contents", 7, "double", "many"),
        Field("bytes_contents", 8, "bytes", "many"),
    ),
    "InferInputTensor": _TENSOR,
    "InferOutputTensor": _TENSOR,
    "InferRequestedOutputTensor": (Field("name", 1, "string"), Field("parameters", 2, _PARAMETER, "map")),
    "ModelInferRequest": (
        Field("model_name", 1, "string"),
        Field("model_version", 2, "string"),
        Field("id", 3, "string"),
        Field("parameters", 4, _PARAMETER, "map"),
        Field("inputs", 5, "inference.InferInputTensor", "many"),
        Field("outputs", 6, "inference.InferRequestedOutputTensor", "many"),
        Field("raw_input_contents", 7, "bytes", "many"),
    ),
    "ModelInferResponse": (
        Field("model_name", 1, "string"),
        Field("model_version", 2, "string"),
        Field("id", 3, "string"),
        Field("parameters", 4, _PARAMETER, "map"),
        Field("outputs", 5, "inference.InferOutputTensor", "many"),
        Field("raw_output_contents", 6, "bytes", "many"),
    ),
    "ModelStreamInferResponse": (
        Field("error_message", 1, "string"),
        Field("infer_response", 2, "inference.ModelInferResponse"),
    ),
    "ServerLiveResponse": (Field("live", 1, "bool"),),
    "ServerReadyResponse": (Field("ready", 1, "bool"),),
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": (Field("ready", 1, "bool"),),
    "ServerMetadataResponse": (
        Field("name", 1, "string"),
        Field("version", 2, "string"),
        Field("extensions", 3, "string", "many"),
    ),
    "ModelMetadataRequest": _MODEL,
    "TensorMetadata": (
        Field("name", 1, "string"),
        Field("datatype", 2, "string"),
        Field("shape", 3, "int64", "many"),
    ),
    "ModelMetadataResponse": (
        Field("name", 1, "string"),
        Field("versions", 2, "string", "many"),
        Field("platform", 3, "string"),
        Field("inputs", 4, "inference.TensorMetadata", "many"),
        Field("outputs", 5, "inference.TensorMetadata", "many"),
    ),
}
_HEALTH = {
    "HealthCheckRequest": (Field("service", 1, "string"),),
    "HealthCheckResponse": (Field("status", 1, "int32"),),  # an enum, which is sent as a number
}
_DETAILS = {
    "Duration": (Field("seconds", 1, "int64"), Field("nanos", 2, "int32")),
    "Any": (Field("type_url", 1, "string"), Field("value", 2, "bytes")),
}
_RPC = {
    "Status": (
        Field("code", 1, "int32"),
        Field("message", 2, "string"),
        Field("details", 3, "google.protobuf.Any", "many"),
    ),
    "RetryInfo": (Field("retry_delay", 1, "google.protobuf.Duration"),),
    "ErrorInfo": (Field("reason", 1, "string"), Field("domain", 2, "string")),
}
_POOL = MessagePool(
    {"inference": _INFERENCE, "grpc.health.v1": _HEALTH, "google.protobuf": _DETAILS, "google.rpc": _RPC}
)

ModelInferRequest = _POOL.message("inference.ModelInferRequest")
ModelInferResponse = _POOL.message("inference.ModelInferResponse")
ModelStreamInferResponse = _POOL.message("inference.ModelStreamInferResponse")
ServerLiveResponse = _POOL.message("inference.ServerLiveResponse")
ServerReadyResponse = _POOL.message("inference.ServerReadyResponse")
ModelReadyRequest = _POOL.message("inference.ModelReadyRequest")
ModelReadyResponse = _POOL.message("inference.ModelReadyResponse")
ServerMetadataResponse = _POOL.message("inference.ServerMetadataResponse")
ModelMetadataRequest = _POOL.message("inference.ModelMetadataRequest")
ModelMetadataResponse = _POOL.message("inference.ModelMetadataResponse")
HealthCheckRequest = _POOL.message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _POOL.message("grpc.health.v1.HealthCheckResponse")
RpcStatus = _POOL.message("google.rpc.Status")
RetryInfo = _POOL.message("google.rpc.RetryInfo")
ErrorInfo = _POOL.message("google.rpc.ErrorInfo")
