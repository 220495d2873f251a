export interface Text {
  en: string;
  ko: string;
}

/** A node type, with enough to draw its form. */
export interface NodeType {
  name: string;
  /** The version of the node's fields. */
  version: number;
  label: Text;
  description: Text;
  /** In the order of the form. */
  fields: NodeField[];
  /** The JSON Schema (2020-12) of the node's config, as text. */
  configSchema: string;
  credentialFields: { name: string; label: Text; secret: boolean }[];
  inputs: string[];
  /** The groups of the fields, in the order of the form. */
  groups: FieldGroup[];
}

/** Fields about one thing, which a form draws together: in a section or a tab. */
export interface FieldGroup {
  name: string;
  label: Text;
}

export interface NodeField {
  name: string;
  aliases: string[];
  label: Text;
  /** `string`, `number`, `integer`, `boolean`, `enum`, `json`, or a list such as `string[]`. */
  type: string;
  required: boolean;
  /** Absent where the provider decides. */
  defaultValue?: unknown;
  help: Text;
  minimum?: number;
  maximum?: number;
  /** The values of an `enum`. */
  options: string[];
  /** Belongs behind "additional parameters". */
  advanced: boolean;
  /** The name of the field's group. */
  group: string;
}
