terraform {
  required_version = "~> 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.50.0"
    }
  }
  # terraform init -backend-config=bucket=… : a bucket with versions that only those who apply may read
  backend "gcs" {
    prefix = "cio-pipelines/prod"
  }
}

provider "google" {
  project = var.project
  region  = var.region
}
