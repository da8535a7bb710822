"""What a user of the SageMaker Python SDK writes: train their own container, deploy what it made, ask it.

Run by the SDK's own environment with nothing of ours but AWS_ENDPOINT_URL.
"""

import json
import sys

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.core.training.configs import Compute, InputData, StoppingCondition
from sagemaker.train import ModelTrainer

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/echo:1"
ROLE = "arn:aws:iam::123456789012:role/service"

rows, out = sys.argv[1:3]
boto = boto3.session.Session()
boto.client("s3").create_bucket(Bucket="sdk", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
boto.client("s3").upload_file(rows, "sdk", "rows/rows.csv")

trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
boto.client("iam").create_role(RoleName="service", AssumeRolePolicyDocument=document)
everything = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
boto.client("iam").attach_role_policy(RoleName="service", PolicyArn=everything)

trainer = ModelTrainer(
    sagemaker_session=Session(boto_session=boto, default_bucket="sdk"),
    role=ROLE,
    base_job_name="boats",
    training_image=IMAGE,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
    hyperparameters={"depth": 3},
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source="s3://sdk/rows/")], wait=True, logs=False)
job = trainer._latest_training_job
job.refresh()

container = ContainerDefinition(image=IMAGE, model_data_url=job.model_artifacts.s3_model_artifacts)
Model.create(model_name="boats", primary_container=container, execution_role_arn=ROLE)
variant = ProductionVariant(variant_name="a", model_name="boats", initial_instance_count=1, instance_type="ml.m5.large")
EndpointConfig.create(endpoint_config_name="boats", production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="boats", endpoint_config_name="boats")
endpoint.wait_for_status("InService", poll=1)
answer = endpoint.invoke(body=b'{"answer": "afloat"}', content_type="application/json")
told = {
    "job": job.training_job_name,
    "status": job.training_job_status,
    "artifact": job.model_artifacts.s3_model_artifacts,
    "answer": answer.body.read().decode(),
    "variant": answer.invoked_production_variant,
}
endpoint.delete()
endpoint.wait_for_delete(poll=1)
with open(out, "w") as file:  # noqa: PTH123
    json.dump(told, file)
