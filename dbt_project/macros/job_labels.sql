{#- Who caused a statement: a comment in it, and labels of the job on BigQuery. -#}
{% macro job_labels(node) -%}
    {{ return(tojson({
        "app": "cio_pipelines",
        "environment": env_var("CIO_ENV", "local"),
        "run": env_var("DBT_RUN_ID", "none"),
        "model": node.name if node else "none",
    })) }}
{%- endmacro %}
