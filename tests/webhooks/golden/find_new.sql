INSERT INTO `new_events` (
  `event_at`,
  `event_date`,
  `person_id`,
  `event_id`,
  `object_type`,
  `metric`,
  `received_at`,
  `cio_id`,
  `delivery_id`,
  `campaign_id`,
  `action_id`,
  `broadcast_id`,
  `trigger_id`,
  `newsletter_id`,
  `content_id`,
  `transactional_message_id`,
  `journey_id`,
  `event`,
  `file`
)
WITH `first_lines` AS (
  SELECT
    `parsed_lines`.`file` AS `file`,
    `parsed_lines`.`line` AS `line`,
    `parsed_lines`.`reason` AS `reason`,
    `parsed_lines`.`text` AS `text`,
    `parsed_lines`.`received_at` AS `received_at`,
    `parsed_lines`.`event` AS `event`,
    `parsed_lines`.`seconds` AS `seconds`,
    `parsed_lines`.`event_id` AS `event_id`,
    `parsed_lines`.`object_type` AS `object_type`,
    `parsed_lines`.`metric` AS `metric`,
    `parsed_lines`.`id` AS `id`,
    `parsed_lines`.`customer_id` AS `customer_id`,
    `parsed_lines`.`cio_id` AS `cio_id`,
    `parsed_lines`.`delivery_id` AS `delivery_id`,
    `parsed_lines`.`transactional_message_id` AS `transactional_message_id`,
    `parsed_lines`.`journey_id` AS `journey_id`,
    `parsed_lines`.`campaign_id` AS `campaign_id`,
    `parsed_lines`.`action_id` AS `action_id`,
    `parsed_lines`.`broadcast_id` AS `broadcast_id`,
    `parsed_lines`.`trigger_id` AS `trigger_id`,
    `parsed_lines`.`newsletter_id` AS `newsletter_id`,
    `parsed_lines`.`content_id` AS `content_id`,
    row_number() OVER (
      PARTITION BY `parsed_lines`.`event_id`
      ORDER BY `parsed_lines`.`received_at`, `parsed_lines`.`file`, `parsed_lines`.`line`
    ) AS `place`
  FROM `parsed_lines`
  WHERE
    `parsed_lines`.`reason` IS NULL
    AND NOT (
      EXISTS(
        SELECT
          `webhook_events`.`event_id`
        FROM `customerio`.`webhook_events`
        WHERE
          `webhook_events`.`event_id` = `parsed_lines`.`event_id`
          AND `webhook_events`.`event_date` >= @p
          AND `webhook_events`.`event_date` <= @p
      )
    )
)
SELECT
  TIMESTAMP_SECONDS(`first_lines`.`seconds`) AS `anon_1`,
  CAST(TIMESTAMP_SECONDS(`first_lines`.`seconds`) AS DATE) AS `anon__1`,
  coalesce(`first_lines`.`id`, `first_lines`.`customer_id`) AS `coalesce_1`,
  `first_lines`.`event_id`,
  `first_lines`.`object_type`,
  `first_lines`.`metric`,
  `first_lines`.`received_at`,
  `first_lines`.`cio_id`,
  `first_lines`.`delivery_id`,
  `first_lines`.`campaign_id`,
  `first_lines`.`action_id`,
  `first_lines`.`broadcast_id`,
  `first_lines`.`trigger_id`,
  `first_lines`.`newsletter_id`,
  `first_lines`.`content_id`,
  `first_lines`.`transactional_message_id`,
  `first_lines`.`journey_id`,
  `first_lines`.`event`,
  `first_lines`.`file`
FROM `first_lines`
WHERE
  `first_lines`.`place` = @p
