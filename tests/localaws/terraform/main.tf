# Every type of resource that the platform needs, in small.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "url" { type = string }
variable "release" {
  type    = string
  default = "one"
}

variable "everything" {
  type        = bool
  default     = true
  description = "also what the provider itself waits long for, whatever the answers: lifecycle rules 55 s, queues 50 s"
}

locals {
  name  = "harbour"
  image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/echo:1"
  tags  = { environment = "local", project = "slipway" }
}

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "123456789012"
  secret_key                  = "local"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  s3_use_path_style           = true
  max_retries                 = 2
  default_tags { tags = local.tags }
  endpoints {
    applicationautoscaling = var.url
    budgets                = var.url
    ce                     = var.url
    cloudtrail             = var.url
    cloudwatch             = var.url
    ec2                    = var.url
    ecr                    = var.url
    events                 = var.url
    iam                    = var.url
    kms                    = var.url
    lambda                 = var.url
    logs                   = var.url
    s3                     = var.url
    s3control              = var.url
    sagemaker              = var.url
    scheduler              = var.url
    secretsmanager         = var.url
    sns                    = var.url
    sqs                    = var.url
    ssm                    = var.url
    sts                    = var.url
  }
}

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}

# --- keys and buckets

resource "aws_kms_key" "main" {
  description             = "everything at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_kms_alias" "main" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.main.key_id
}

resource "aws_s3_bucket" "data" {
  bucket        = "${local.name}-data"
  force_destroy = true
}

resource "aws_s3_bucket" "logs" {
  bucket        = "${local.name}-logs"
  force_destroy = true
}

resource "aws_s3_bucket_logging" "data" {
  bucket        = aws_s3_bucket.data.id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "access/"
  depends_on    = [aws_s3_bucket_policy.logs]
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "AccessLogs"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.logs.arn}/*"]
    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id
  policy = data.aws_iam_policy_document.logs.json
}

# Evidence cannot be changed, and is kept twice.

resource "aws_s3_bucket" "evidence" {
  bucket              = "${local.name}-evidence"
  object_lock_enabled = true
  force_destroy       = true
}

resource "aws_s3_bucket_versioning" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_object_lock_configuration" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = 730
    }
  }
  depends_on = [aws_s3_bucket_versioning.evidence]
}

resource "aws_s3_bucket" "replica" {
  bucket        = "${local.name}-replica"
  force_destroy = true
}

resource "aws_s3_bucket_versioning" "replica" {
  bucket = aws_s3_bucket.replica.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_replication_configuration" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  role   = aws_iam_role.service.arn
  rule {
    id       = "everything"
    status   = "Enabled"
    priority = 0
    filter { prefix = "" }
    delete_marker_replication { status = "Disabled" }
    source_selection_criteria {
      sse_kms_encrypted_objects { status = "Enabled" }
    }
    destination {
      bucket        = aws_s3_bucket.replica.arn
      storage_class = "STANDARD_IA"
      encryption_configuration { replica_kms_key_id = aws_kms_key.main.arn }
    }
  }
  depends_on = [aws_s3_bucket_versioning.evidence, aws_s3_bucket_versioning.replica]
}

resource "aws_s3_bucket_versioning" "data" {
  bucket = aws_s3_bucket.data.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.main.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "data" {
  bucket = aws_s3_bucket.data.id
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  count  = var.everything ? 1 : 0
  bucket = aws_s3_bucket.data.id
  rule {
    id     = "expire-capture"
    status = "Enabled"
    filter { prefix = "capture/" }
    expiration { days = 30 }
    noncurrent_version_expiration { noncurrent_days = 7 }
    abort_incomplete_multipart_upload { days_after_initiation = 2 }
  }
  rule {
    id     = "archive"
    status = "Enabled"
    filter {}
    transition {
      days          = 90
      storage_class = "GLACIER_IR"
    }
  }
  depends_on = [aws_s3_bucket_versioning.data]
}

resource "aws_s3_bucket_cors_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  cors_rule {
    allowed_methods = ["GET"]
    allowed_origins = ["https://example.com"]
  }
}

resource "aws_s3_bucket_notification" "data" {
  bucket      = aws_s3_bucket.data.id
  eventbridge = true
}

data "aws_iam_policy_document" "tls_only" {
  statement {
    sid       = "DenyInsecureTransport"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.data.arn, "${aws_s3_bucket.data.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  bucket     = aws_s3_bucket.data.id
  policy     = data.aws_iam_policy_document.tls_only.json
  depends_on = [aws_s3_bucket_public_access_block.data]
}

resource "aws_s3_object" "artifact" {
  bucket     = aws_s3_bucket.data.id
  key        = "artifacts/model.tar.gz"
  source     = "${path.module}/model.tar.gz"
  kms_key_id = aws_kms_key.main.arn
  depends_on = [aws_s3_bucket_policy.data]
}

# --- images, roles, network

resource "aws_ecr_repository" "inference" {
  name                 = "slipway-local/echo"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration { scan_on_push = true }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.main.arn
  }
}

resource "aws_ecr_lifecycle_policy" "inference" {
  repository = aws_ecr_repository.inference.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
    action       = { type = "expire" }
  }] })
}

resource "aws_ecr_repository_policy" "inference" {
  repository = aws_ecr_repository.inference.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid       = "SageMaker", Effect = "Allow", Principal = { Service = "sagemaker.amazonaws.com" },
    Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.me.account_id } }
  }] })
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com", "scheduler.amazonaws.com", "events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.me.account_id]
    }
  }
}

resource "aws_iam_role" "service" {
  name                 = "${local.name}-service"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  max_session_duration = 3600
}

resource "aws_iam_policy" "read" {
  name = "${local.name}-read"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${aws_s3_bucket.data.arn}/*"]
  }] })
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.service.name
  policy_arn = aws_iam_policy.read.arn
}

resource "aws_iam_role_policy" "inline" {
  name = "inline"
  role = aws_iam_role.service.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = ["logs:PutLogEvents"], Resource = ["*"]
  }] })
}

resource "aws_iam_openid_connect_provider" "ci" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_availability_zones" "here" { state = "available" }

resource "aws_vpc" "main" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  enable_dns_support   = true
}

resource "aws_subnet" "private" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone = data.aws_availability_zones.here.names[count.index]
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.main.id
}

resource "aws_route_table_association" "private" {
  count          = 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

resource "aws_security_group" "endpoints" {
  name        = "${local.name}-endpoints"
  description = "Interface endpoints"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id = aws_security_group.endpoints.id
  cidr_ipv4         = aws_vpc.main.cidr_block
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.endpoints.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${data.aws_region.here.name}.s3"
  vpc_endpoint_type = "Gateway"
}

resource "aws_vpc_endpoint_route_table_association" "s3" {
  vpc_endpoint_id = aws_vpc_endpoint.s3.id
  route_table_id  = aws_route_table.private.id
}

resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id
}

resource "aws_vpc_endpoint" "runtime" {
  vpc_id              = aws_vpc.main.id
  service_name        = "com.amazonaws.${data.aws_region.here.name}.sagemaker.runtime"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
}

resource "aws_flow_log" "main" {
  vpc_id               = aws_vpc.main.id
  traffic_type         = "REJECT"
  log_destination_type = "cloud-watch-logs"
  log_destination      = aws_cloudwatch_log_group.flow.arn
  iam_role_arn         = aws_iam_role.service.arn
}

# --- registry, features, pipeline, monitoring, tracking

resource "aws_sagemaker_model_package_group" "main" {
  model_package_group_name        = local.name
  model_package_group_description = "versions of the harbour model"
}

resource "aws_sagemaker_model_package_group_policy" "main" {
  model_package_group_name = aws_sagemaker_model_package_group.main.model_package_group_name
  resource_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid       = "Read", Effect = "Allow", Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }
    Action    = ["sagemaker:DescribeModelPackage"]
    Resource  = ["arn:aws:sagemaker:eu-west-1:${data.aws_caller_identity.me.account_id}:model-package/${local.name}/*"]
  }] })
}

resource "aws_sagemaker_feature_group" "main" {
  feature_group_name             = local.name
  record_identifier_feature_name = "id"
  event_time_feature_name        = "at"
  role_arn                       = aws_iam_role.service.arn
  feature_definition {
    feature_name = "id"
    feature_type = "String"
  }
  feature_definition {
    feature_name = "at"
    feature_type = "String"
  }
  online_store_config { enable_online_store = true }
  offline_store_config {
    s3_storage_config { s3_uri = "s3://${aws_s3_bucket.data.bucket}/features" }
  }
}

resource "aws_sagemaker_pipeline" "train" {
  pipeline_name         = "${local.name}-train"
  pipeline_display_name = "${local.name}-train"
  role_arn              = aws_iam_role.service.arn
  pipeline_definition = jsonencode({
    Version = "2020-12-01", Parameters = [], Steps = [{ Name = "Stop", Type = "Fail", Arguments = { ErrorMessage = var.release } }]
  })
  parallelism_configuration { max_parallel_execution_steps = 4 }
}

resource "aws_sagemaker_data_quality_job_definition" "main" {
  name     = local.name
  role_arn = aws_iam_role.service.arn
  data_quality_app_specification { image_uri = local.image }
  data_quality_job_input {
    endpoint_input {
      endpoint_name = aws_sagemaker_endpoint.main.name
    }
  }
  data_quality_job_output_config {
    monitoring_outputs {
      s3_output { s3_uri = "s3://${aws_s3_bucket.data.bucket}/reports" }
    }
  }
  job_resources {
    cluster_config {
      instance_count    = 1
      instance_type     = "ml.m5.large"
      volume_size_in_gb = 20
    }
  }
}

resource "aws_sagemaker_monitoring_schedule" "main" {
  name = local.name
  monitoring_schedule_config {
    monitoring_job_definition_name = aws_sagemaker_data_quality_job_definition.main.name
    monitoring_type                = "DataQuality"
    schedule_config { schedule_expression = "cron(0 * ? * * *)" }
  }
}

resource "aws_sagemaker_mlflow_tracking_server" "main" {
  tracking_server_name = local.name
  artifact_store_uri   = "s3://${aws_s3_bucket.data.bucket}/mlflow"
  role_arn             = aws_iam_role.service.arn
}

# --- the release

resource "aws_sagemaker_model" "champion" {
  name                     = "${local.name}-champion-${var.release}"
  execution_role_arn       = aws_iam_role.service.arn
  enable_network_isolation = true
  primary_container {
    image          = local.image
    model_data_url = "s3://${aws_s3_object.artifact.bucket}/${aws_s3_object.artifact.key}"
    environment    = { VERSION = var.release }
  }
  vpc_config {
    subnets            = aws_subnet.private[*].id
    security_group_ids = [aws_security_group.endpoints.id]
  }
}

resource "aws_sagemaker_endpoint_configuration" "main" {
  name        = "${local.name}-${var.release}"
  kms_key_arn = aws_kms_key.main.arn
  production_variants {
    variant_name           = "champion"
    model_name             = aws_sagemaker_model.champion.name
    instance_type          = "ml.m5.large"
    initial_instance_count = 1
    initial_variant_weight = 1
  }
  data_capture_config {
    enable_capture              = true
    initial_sampling_percentage = 100
    destination_s3_uri          = "s3://${aws_s3_bucket.data.bucket}/capture"
    kms_key_id                  = aws_kms_key.main.arn
    capture_options { capture_mode = "Input" }
    capture_options { capture_mode = "Output" }
    capture_content_type_header { json_content_types = ["application/json"] }
  }
  lifecycle { create_before_destroy = true }
}

resource "aws_sagemaker_endpoint" "main" {
  name                 = local.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.main.name
  deployment_config {
    blue_green_update_policy {
      termination_wait_in_seconds          = 0
      maximum_execution_timeout_in_seconds = 600
      traffic_routing_configuration {
        type                     = "ALL_AT_ONCE"
        wait_interval_in_seconds = 1
      }
    }
    auto_rollback_configuration {
      alarms { alarm_name = aws_cloudwatch_metric_alarm.errors.alarm_name }
    }
  }
}

resource "aws_appautoscaling_target" "champion" {
  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.main.name}/variant/champion"
  min_capacity       = 1
  max_capacity       = 3
}

resource "aws_appautoscaling_policy" "champion" {
  name               = "${local.name}-load"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.champion.service_namespace
  scalable_dimension = aws_appautoscaling_target.champion.scalable_dimension
  resource_id        = aws_appautoscaling_target.champion.resource_id
  target_tracking_scaling_policy_configuration {
    target_value = 1000
    predefined_metric_specification { predefined_metric_type = "SageMakerVariantInvocationsPerInstance" }
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
  }
}

resource "aws_appautoscaling_scheduled_action" "night" {
  name               = "${local.name}-night"
  service_namespace  = aws_appautoscaling_target.champion.service_namespace
  scalable_dimension = aws_appautoscaling_target.champion.scalable_dimension
  resource_id        = aws_appautoscaling_target.champion.resource_id
  schedule           = "cron(0 22 1 1 ? 2099)" # never while a test runs
  scalable_target_action {
    min_capacity = 1
    max_capacity = 1
  }
}

# --- watching

resource "aws_cloudwatch_log_group" "endpoint" {
  name              = "/aws/sagemaker/Endpoints/${local.name}"
  retention_in_days = 30
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/${local.name}/flow"
  retention_in_days = 30
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.main.id
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid    = "Publish", Effect = "Allow", Principal = { Service = "cloudwatch.amazonaws.com" },
    Action = "sns:Publish", Resource = aws_sns_topic.alarms.arn
  }] })
}

resource "aws_sqs_queue" "alarms" {
  count                   = var.everything ? 1 : 0
  name                    = "${local.name}-alarms"
  sqs_managed_sse_enabled = true
}

resource "aws_sqs_queue_policy" "alarms" {
  count     = var.everything ? 1 : 0
  queue_url = aws_sqs_queue.alarms[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid    = "Deliver", Effect = "Allow", Principal = { Service = "sns.amazonaws.com" },
    Action = "sqs:SendMessage", Resource = aws_sqs_queue.alarms[0].arn
  }] })
}

resource "aws_sns_topic_subscription" "queue" {
  count     = var.everything ? 1 : 0
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.alarms[0].arn
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = "team@example.com"
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  namespace           = "AWS/SageMaker"
  metric_name         = "Invocation5XXErrors"
  dimensions          = { EndpointName = local.name, VariantName = "champion" }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = 5
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  alarm_name          = "${local.name}-latency"
  namespace           = "AWS/SageMaker"
  metric_name         = "ModelLatency"
  dimensions          = { EndpointName = local.name, VariantName = "champion" }
  extended_statistic  = "p99"
  period              = 60
  evaluation_periods  = 3
  threshold           = 500000
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "ratio" {
  alarm_name          = "${local.name}-ratio"
  evaluation_periods  = 2
  threshold           = 0.01
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  metric_query {
    id          = "ratio"
    expression  = "errors / calls"
    label       = "share of errors"
    return_data = true
  }
  metric_query {
    id = "errors"
    metric {
      namespace   = "AWS/SageMaker"
      metric_name = "Invocation5XXErrors"
      dimensions  = { EndpointName = local.name, VariantName = "champion" }
      period      = 60
      stat        = "Sum"
    }
  }
  metric_query {
    id = "calls"
    metric {
      namespace   = "AWS/SageMaker"
      metric_name = "Invocations"
      dimensions  = { EndpointName = local.name, VariantName = "champion" }
      period      = 60
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "unwell" {
  alarm_name    = "${local.name}-unwell"
  alarm_rule    = "ALARM(\"${aws_cloudwatch_metric_alarm.errors.alarm_name}\") OR ALARM(\"${aws_cloudwatch_metric_alarm.latency.alarm_name}\")"
  alarm_actions = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = [{
    type       = "metric", x = 0, y = 0, width = 12, height = 6,
    properties = { metrics = [["AWS/SageMaker", "Invocations", "EndpointName", local.name]], region = "eu-west-1", period = 60, stat = "Sum" }
  }] })
}

resource "aws_cloudwatch_event_rule" "approved" {
  name = "${local.name}-approved"
  event_pattern = jsonencode({
    source = ["aws.sagemaker"], "detail-type" = ["SageMaker Model Package State Change"]
    detail = { ModelPackageGroupName = [local.name], ModelApprovalStatus = ["Approved"] }
  })
}

resource "aws_cloudwatch_event_target" "approved" {
  rule      = aws_cloudwatch_event_rule.approved.name
  target_id = "topic"
  arn       = aws_sns_topic.alarms.arn
}

resource "aws_cloudwatch_event_target" "pipeline" {
  rule      = aws_cloudwatch_event_rule.approved.name
  target_id = "pipeline"
  arn       = aws_sagemaker_pipeline.train.arn
  role_arn  = aws_iam_role.service.arn
  sagemaker_pipeline_target {
    pipeline_parameter_list {
      name  = "reason"
      value = "approved"
    }
  }
}

resource "aws_scheduler_schedule_group" "main" {
  name = local.name
}

resource "aws_scheduler_schedule" "weekly" {
  name                         = "${local.name}-weekly"
  group_name                   = aws_scheduler_schedule_group.main.name
  schedule_expression          = "cron(0 6 ? * MON *)"
  schedule_expression_timezone = "UTC"
  flexible_time_window { mode = "OFF" }
  target {
    arn      = aws_sagemaker_pipeline.train.arn
    role_arn = aws_iam_role.service.arn
    sagemaker_pipeline_parameters {
      pipeline_parameter {
        name  = "reason"
        value = "weekly"
      }
    }
    retry_policy { maximum_retry_attempts = 2 }
  }
}

resource "aws_budgets_budget" "month" {
  account_id   = data.aws_caller_identity.me.account_id
  name         = local.name
  budget_type  = "COST"
  limit_amount = "100.0"
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  notification {
    comparison_operator        = "GREATER_THAN"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    notification_type          = "FORECASTED"
    subscriber_email_addresses = ["team@example.com"]
  }
}

resource "aws_budgets_budget_action" "stop" {
  account_id         = data.aws_caller_identity.me.account_id
  budget_name        = aws_budgets_budget.month.name
  action_type        = "APPLY_IAM_POLICY"
  approval_model     = "AUTOMATIC"
  notification_type  = "ACTUAL"
  execution_role_arn = aws_iam_role.service.arn
  action_threshold {
    action_threshold_type  = "PERCENTAGE"
    action_threshold_value = 100
  }
  definition {
    iam_action_definition {
      policy_arn = aws_iam_policy.read.arn
      roles      = [aws_iam_role.service.name]
    }
  }
  subscriber {
    address           = aws_sns_topic.alarms.arn
    subscription_type = "SNS"
  }
}

resource "aws_ce_anomaly_monitor" "cost" {
  name              = "${local.name}-cost"
  monitor_type      = "DIMENSIONAL"
  monitor_dimension = "SERVICE"
}

resource "aws_ce_anomaly_subscription" "cost" {
  name             = "${local.name}-cost"
  frequency        = "IMMEDIATE"
  monitor_arn_list = [aws_ce_anomaly_monitor.cost.arn]
  subscriber {
    address = aws_sns_topic.alarms.arn
    type    = "SNS"
  }
  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = ["200.0"]
    }
  }
}

resource "aws_cloudtrail" "main" {
  name                          = "${local.name}-trail"
  s3_bucket_name                = aws_s3_bucket.logs.id
  s3_key_prefix                 = "trail"
  kms_key_id                    = aws_kms_key.main.arn
  cloud_watch_logs_group_arn    = "${aws_cloudwatch_log_group.flow.arn}:*"
  cloud_watch_logs_role_arn     = aws_iam_role.service.arn
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true
  event_selector {
    include_management_events = true
    read_write_type           = "All"
    data_resource {
      type   = "AWS::S3::Object"
      values = ["${aws_s3_bucket.data.arn}/"]
    }
  }
  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_secretsmanager_secret" "webhook" {
  name                    = "${local.name}-webhook"
  recovery_window_in_days = 0
}

resource "aws_ssm_parameter" "release" {
  name  = "/${local.name}/release"
  type  = "String"
  value = var.release
}

output "endpoint" { value = aws_sagemaker_endpoint.main.name }
