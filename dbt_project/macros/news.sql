{#- What a build that adds to a table has to look at, as constants: BigQuery leaves out partitions by constants only,
    never by what a subquery finds. A dictionary of two texts, each NULL in a build from scratch:

    `since`: events that were loaded from then on may be new. It is the newest that the table knows of, less an hour, by
        which the clocks of loading machines may differ. Only rows of the last `days` by `column`, of the given type,
        are looked at; overlooking some makes it earlier, never too late.
    `first_day`: no such event happened before this UTC day. NULL too where reading all events costs nothing. -#}
{% macro news(column, days, type="timestamp") -%}
    {%- if not (execute and this and is_incremental()) -%}
        {{ return({"since": none, "first_day": none}) }}
    {%- endif -%}
    {%- set recent = (run_started_at - modules.datetime.timedelta(days=days)).strftime("%Y-%m-%d") -%}
    {%- set newest = value_of(
        "select max(loaded_at) from " ~ this ~ " where " ~ column ~ " >= " ~ type ~ " '" ~ recent ~ "'"
    ) -%}
    {%- set newest = newest or modules.datetime.datetime(1970, 1, 2) -%}
    {%- set since = (newest - modules.datetime.timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f") -%}
    {{ return({"since": since, "first_day": first_day_of_news(since, recent)}) }}
{%- endmacro %}

{% macro first_day_of_news(since, recent) -%}
    {{ return(adapter.dispatch("first_day_of_news", "cio_pipelines")(since, recent)) }}
{%- endmacro %}

{#- The day `recent`, or an earlier one when something was loaded since that was received earlier: the manifest of landed
    objects knows. Customer.io gives up an event after some days of trying, so that nothing can have happened much
    earlier than it was received. -#}
{% macro default__first_day_of_news(since, recent) -%}
    {%- set received = value_of(
        "select min(received_date) from " ~ source("customerio", "landed_files")
        ~ " where source = 'webhooks' and loaded_at >= timestamp '" ~ since ~ "'"
    ) -%}
    {%- if received -%}
        {%- set delay = modules.datetime.timedelta(days=var("event_delay_days")) -%}
        {{ return([recent, (received - delay).strftime("%Y-%m-%d")] | min) }}
    {%- endif -%}
    {{ return(recent) }}
{%- endmacro %}

{#- These read a table faster than they are asked what to leave out, and bill nobody. -#}
{% macro duckdb__first_day_of_news(since, recent) -%}
    {{ return(none) }}
{%- endmacro %}

{% macro postgres__first_day_of_news(since, recent) -%}
    {{ return(none) }}
{%- endmacro %}

{#- The condition on reported events that may be new; `true` in a build from scratch. -#}
{% macro is_news(news, relation) -%}
    {%- set conditions = [] -%}
    {%- if news.first_day -%}
        {%- do conditions.append(relation ~ ".event_date >= date '" ~ news.first_day ~ "'") -%}
    {%- endif -%}
    {%- if news.since -%}
        {%- do conditions.append(relation ~ ".loaded_at >= timestamp '" ~ news.since ~ "'") -%}
    {%- endif -%}
    {{ conditions | join(" and ") or "true" }}
{%- endmacro %}

{#- The single value that a query answers with; a moment has lost its zone, which was UTC. -#}
{% macro value_of(query) -%}
    {%- set value = run_query(query).columns[0].values()[0] -%}
    {%- if value is not none and value.tzinfo -%}
        {%- set value = value.astimezone(modules.pytz.utc).replace(tzinfo=none) -%}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}
