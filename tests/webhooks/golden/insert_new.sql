MERGE INTO `customerio`.`webhook_events`
USING (
  SELECT
    `new_events`.`event_id`,
    `new_events`.`object_type`,
    `new_events`.`metric`,
    `new_events`.`event_at`,
    `new_events`.`event_date`,
    `new_events`.`received_at`,
    `new_events`.`person_id`,
    `new_events`.`cio_id`,
    `new_events`.`delivery_id`,
    `new_events`.`campaign_id`,
    `new_events`.`action_id`,
    `new_events`.`broadcast_id`,
    `new_events`.`trigger_id`,
    `new_events`.`newsletter_id`,
    `new_events`.`content_id`,
    `new_events`.`transactional_message_id`,
    `new_events`.`journey_id`,
    `new_events`.`event`,
    `new_events`.`file`,
    @p AS `loaded_at`,
    @p AS `run_id`
  FROM `new_events`
) AS source
ON `webhook_events`.`event_id` = source.`event_id`
AND `webhook_events`.`event_date` = source.`event_date`
AND (
  `webhook_events`.`event_date` >= @p AND `webhook_events`.`event_date` <= @p
)
WHEN NOT MATCHED THEN INSERT (
  `event_id`,
  `object_type`,
  `metric`,
  `event_at`,
  `event_date`,
  `received_at`,
  `person_id`,
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
  `file`,
  `loaded_at`,
  `run_id`
) VALUES (
  source.`event_id`,
  source.`object_type`,
  source.`metric`,
  source.`event_at`,
  source.`event_date`,
  source.`received_at`,
  source.`person_id`,
  source.`cio_id`,
  source.`delivery_id`,
  source.`campaign_id`,
  source.`action_id`,
  source.`broadcast_id`,
  source.`trigger_id`,
  source.`newsletter_id`,
  source.`content_id`,
  source.`transactional_message_id`,
  source.`journey_id`,
  source.`event`,
  source.`file`,
  source.`loaded_at`,
  source.`run_id`
)
