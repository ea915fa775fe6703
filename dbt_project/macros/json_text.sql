{#- A member of a JSON text as text, such as `data.recipient`; NULL for what is absent, null, an object or a list. -#}
{% macro json_text(json, path) -%}
    {{ return(adapter.dispatch("json_text", "cio_pipelines")(json, path)) }}
{%- endmacro %}

{% macro default__json_text(json, path) -%}
    json_value({{ json }}, '$.{{ path }}')
{%- endmacro %}

{#- DuckDB refuses JSON that BigQuery reads, such as half of a surrogate pair; one event must not stop a build. -#}
{% macro duckdb__json_text(json, path) -%}
    try(json_value({{ json }}, '$.{{ path }}') ->> '$')
{%- endmacro %}

{#- PostgreSQL refuses the same, and says beforehand whether it would from its release 16 on. -#}
{% macro postgres__json_text(json, path) -%}
    {%- set member = "cast(" ~ json ~ " as jsonb) #> '{" ~ path | replace(".", ",") | replace("[", ",") | replace("]", "") ~ "}'" -%}
    case
        when pg_input_is_valid({{ json }}, 'jsonb') and jsonb_typeof({{ member }}) not in ('object', 'array')
            then ({{ member }}) #>> '{}'
    end
{%- endmacro %}

{#- Whether a member of a JSON text is true; what is absent or null is not. -#}
{% macro json_is_true(json, path) -%}
    coalesce(lower({{ json_text(json, path) }}) = 'true', false)
{%- endmacro %}
