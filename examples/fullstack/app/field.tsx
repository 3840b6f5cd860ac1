import { useId, type ComponentProps } from "react";

type FieldProps = Omit<ComponentProps<"input">, "onChange"> & {
  label: string;
  error?: string | undefined;
  onChange?: (value: string) => void;
};

/** A labelled text field with its error. */
export function Field({ label, error, onChange, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        aria-invalid={error !== undefined}
        aria-describedby={error && `${id}-error`}
        onChange={onChange && (({ target }) => onChange(target.value))}
        {...input}
      />
      {error && (
        <p id={`${id}-error`} className="error" role="alert">
          {label} {error}
        </p>
      )}
    </div>
  );
}
