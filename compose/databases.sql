-- Run once, when PostgreSQL's volume is new; the database of Dagster's history is POSTGRES_DB.
CREATE DATABASE warehouse OWNER cio;
